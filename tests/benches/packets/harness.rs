//! The harness in the kernel: it puts each packet back as it was and hands it to the program under test.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::{Array, Map, MapData, ProgramArray};
use aya::programs::{ProgramFd, TestRun as _, TestRunOptions, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use lb_common::bench::{HEADER, Layout, Recipe};
use lb_ctl::datapath::Datapath;
use lb_tests::program::{Action, second_interface};
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};

/// Most repetitions of one call: the kernel keeps the CPU for as long.
const MOST: u32 = 1 << 20;

/// The packets of a row: a frame of flow 0, and how many flows there are.
#[derive(Clone, Debug)]
pub(crate) struct Packets {
    /// At least [`HEADER`] words, which are put back.
    pub(crate) frame: Vec<u8>,
    pub(crate) layout: Layout,
    /// A power of two.
    pub(crate) flows: u32,
}

/// The harness, loaded.
pub(crate) struct Harness {
    ebpf: Ebpf,
    recipe: Array<MapData, [u8; size_of::<Recipe>()]>,
    under_test: ProgramArray<MapData>,
    /// The same map.
    array: OwnedFd,
}

impl Harness {
    /// Loads the object at `path`.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let context = || format!("cannot load {}", path.display());
        let mut ebpf = EbpfLoader::new().btf(None).load_file(path).with_context(context)?;
        for name in ["restore", "tx", "push", "redirect"] {
            program(&mut ebpf, name)?.load().with_context(context)?;
        }
        stay_known(&mut ebpf)?;
        let mut map = |name| ebpf.take_map(name).with_context(|| format!("there is no map {name}"));
        let recipe = Array::try_from(map("RECIPE")?)?;
        let under_test = map("UNDER_TEST")?;
        let Map::ProgramArray(data) = &under_test else { bail!("UNDER_TEST holds no programs") };
        let array = data.fd().as_fd().try_clone_to_owned()?;
        Ok(Self { ebpf, recipe, under_test: ProgramArray::try_from(under_test)?, array })
    }

    /// Measures the yardstick `name` from now on.
    pub(crate) fn take_yardstick(&mut self, name: &str) -> Result<()> {
        let program: ProgramFd = program(&mut self.ebpf, name)?.fd()?.try_clone()?;
        self.take_program(&program)
    }

    /// Measures `program` from now on.
    pub(crate) fn take_program(&mut self, program: &ProgramFd) -> Result<()> {
        Ok(self.under_test.set(0, program, 0)?)
    }

    /// Measures the director's program from now on.
    pub(crate) fn take(&mut self, datapath: &Datapath) -> Result<()> {
        Ok(datapath.runner()?.enter(self.array.try_clone()?)?)
    }

    /// Runs `count` packets, from number `first` on: how long it took, the last action and the last packet.
    pub(crate) fn run(&mut self, packets: &Packets, first: u32, count: u32) -> Result<Ran> {
        let (Some(header), true) =
            (packets.frame.first_chunk::<{ 8 * HEADER }>(), packets.flows.is_power_of_two())
        else {
            bail!("a frame of {} bytes, {} flows", packets.frame.len(), packets.flows);
        };
        let length = u32::try_from(packets.frame.len())?;
        let (mask, layout) = (packets.flows - 1, packets.layout as u32);
        let recipe = Recipe { header: zerocopy::transmute!(*header), length, mask, next: first, layout };
        let recipe: [u8; size_of::<Recipe>()] = zerocopy::transmute!(recipe);
        self.recipe.set(0, recipe, 0)?;
        let restore = program(&mut self.ebpf, "restore")?;
        let mut frame = vec![0; 4_096];
        let (mut left, mut took, mut last) = (count, Duration::ZERO, (0, 0));
        let before = times_lost()?;
        while left > 0 {
            let repeat = left.min(MOST);
            let options = TestRunOptions {
                data_in: Some(&packets.frame),
                data_out: Some(&mut frame),
                repeat,
                ..TestRunOptions::default()
            };
            let began = cpu_time()?;
            let result = restore.test_run(options)?;
            took += cpu_time()?.saturating_sub(began);
            last = (result.return_value, result.data_size_out as usize);
            left -= repeat;
        }
        frame.truncate(last.1);
        let action = Action::from_number(last.0).with_context(|| format!("{} is no XDP action", last.0))?;
        ensure!(action != Action::Aborted, "the harness did not reach the program under test");
        Ok(Ran { took, action, frame, disturbed: times_lost()? != before })
    }
}

/// What came of packets.
pub(crate) struct Ran {
    pub(crate) took: Duration,
    /// Of the last one.
    pub(crate) action: Action,
    /// The last one, as it left.
    pub(crate) frame: Vec<u8>,
    /// Whether the thread lost its CPU to another one meanwhile, which also emptied its caches.
    pub(crate) disturbed: bool,
}

/// Has the kernel keep the harness in its table of XDP programs, in a network of this thread's own.
///
/// A run of several packets enters the program there and takes it out again, and each waits for a grace period.
fn stay_known(ebpf: &mut Ebpf) -> Result<()> {
    second_interface();
    program(ebpf, "restore")?.attach("second", XdpMode::Driver).context("cannot attach the harness")?;
    Ok(())
}

/// The program `name` of an object.
pub(crate) fn program<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut Xdp> {
    let program = ebpf.program_mut(name).with_context(|| format!("there is no program {name}"))?;
    Ok(program.try_into()?)
}

/// How often this thread lost its CPU before it was done.
fn times_lost() -> Result<i64> {
    Ok(getrusage(UsageWho::RUSAGE_THREAD)?.involuntary_context_switches())
}

fn cpu_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}
