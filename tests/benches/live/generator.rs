//! Live frames: the kernel sends what a program makes, and counts what comes to the end of the road.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::maps::{Array, MapData, PerCpuArray};
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use lb_common::bench::{HEADER, Layout, OUT_OF_DIRECTOR, OUT_OF_GENERATOR, Recipe};
use lb_tests::lab::{Host, Port};
use nix::net::if_::if_nametoindex;

use crate::clock::Clock;
use crate::road::Road;

/// Frames of a batch: what the kernel takes from a queue at once.
const BATCH: u32 = 64;

/// The generator at the client.
pub(crate) struct Generator {
    client: Host,
    ebpf: Ebpf,
    clock: Clock,
    recipe: Array<MapData, [u8; size_of::<Recipe>()]>,
    /// Kept open, because programs that use it are loaded later.
    _out: Array<MapData, u32>,
    arrived: PerCpuArray<MapData, u64>,
}

impl Generator {
    /// Loads the object at `path`; it sends by the client's end of the road.
    pub(crate) fn load(path: &Path, road: &Road) -> Result<Self> {
        let context = || format!("cannot load {}", path.display());
        let mut ebpf = EbpfLoader::new().btf(None).load_file(path).with_context(context)?;
        let mut map = |name| ebpf.take_map(name).with_context(|| format!("there is no map {name}"));
        let recipe = Array::try_from(map("RECIPE")?)?;
        let arrived = PerCpuArray::try_from(map("ARRIVED")?)?;
        let mut out = Array::<_, u32>::try_from(map("OUT")?)?;
        out.set(OUT_OF_GENERATOR, index(&road.near)?, 0)?;
        out.set(OUT_OF_DIRECTOR, index(&road.back)?, 0)?;
        program(&mut ebpf, "generate")?.load().with_context(context)?;
        Ok(Self { client: road.client.clone(), ebpf, clock: Clock::new()?, recipe, _out: out, arrived })
    }

    /// Runs the program `name` on what comes in by `port`, as long as the generator lives.
    pub(crate) fn attach(&mut self, name: &str, port: &Port) -> Result<()> {
        let program = program(&mut self.ebpf, name)?;
        program.load().with_context(|| format!("cannot load {name}"))?;
        let attached = port.host.within(|| program.attach(&port.device, XdpMode::Driver))?;
        attached.map(drop).with_context(|| format!("cannot attach {name}"))
    }

    /// Sends `count` frames like `frame`, which is of flow 0; the first of them is of flow `first`, of `flows`, a power of
    /// two. Gives the CPU time that all of them took.
    pub(crate) fn run(&mut self, frame: &[u8], (first, flows): (u32, u32), count: u32) -> Result<Duration> {
        let header = frame.first_chunk::<{ 8 * HEADER }>().context("a short frame")?;
        let (length, mask, layout) = (u32::try_from(frame.len())?, flows - 1, Layout::V4 as u32);
        let recipe = Recipe { header: zerocopy::transmute!(*header), length, mask, next: first, layout };
        let recipe: [u8; size_of::<Recipe>()] = zerocopy::transmute!(recipe);
        self.recipe.set(0, recipe, 0)?;
        let program = program(&mut self.ebpf, "generate")?;
        let attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
        let options =
            TestRunOptions { data_in: Some(frame), repeat: count, attrs, ..TestRunOptions::default() };
        let clock = &self.clock;
        let send = || {
            let began = clock.now()?;
            let ran = program.test_run(options).context("cannot send")?;
            clock.since(began, ran.duration * count)
        };
        self.client.within(send)?
    }

    /// How many frames have come to the end of the road.
    pub(crate) fn arrived(&self) -> Result<u64> {
        Ok(self.arrived.get(&0, 0)?.iter().sum())
    }
}

fn index(port: &Port) -> Result<u32> {
    let found = port.host.within(|| if_nametoindex(port.device.as_str()))?;
    found.with_context(|| format!("there is no {}", port.device))
}

fn program<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut Xdp> {
    let program = ebpf.program_mut(name).with_context(|| format!("there is no program {name}"))?;
    Ok(program.try_into()?)
}
