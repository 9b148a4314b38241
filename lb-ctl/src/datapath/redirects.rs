//! What interfaces did not send of what was redirected to them: two programs on tracepoints, and their map.
//!
//! They are pinned, so that they count without an agent. A kernel that lacks something of it forwards as well.

use super::btf::{self, Btf};
use super::error::{Result, kernel, os_error};
use super::map::Table;
use super::maps::Maps;
use super::object::{LoadOptions, REDIRECTS};
use super::pins;
use super::sys::{self, RawMap};
use crate::fault;
use aya::pin::PinError;
use aya::programs::links::FdLink;
use aya::programs::{ProgramError, RawTracePoint};
use aya::{Ebpf, EbpfLoader};
use lb_common::redirect::RedirectFailure;
use std::fs;
use std::io;
use std::os::linux::fs::MetadataExt as _;
use std::path::Path;

const MAP: &str = "REDIRECT_FAILURES";
/// The programs, each with its tracepoint.
const PROGRAMS: [(&str, &str); 2] =
    [("redirect_refused", "xdp_redirect_err"), ("redirect_lost", "xdp_devmap_xmit")];

/// Frames that were not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsent {
    /// The interface that they came in by; `None` if they are surely this director's. Of others, whose is for the
    /// caller to say: every program of this network namespace is counted.
    pub from: Option<u32>,
    /// The interface that should have sent them.
    pub to: u32,
    /// The kernel's error number; 0 if the driver took fewer than it was given.
    pub error: u32,
    /// How many.
    pub frames: u64,
}

/// The map of the programs.
#[derive(Debug)]
pub(super) struct Redirects {
    failures: Table<RedirectFailure, u64>,
}

impl Redirects {
    /// Loads, attaches and pins the programs in `directory`, in the place of those that an agent left there.
    pub(super) fn open(directory: &Path, director: &Maps) -> Result<Self> {
        pins::make_directory(directory)?;
        let map = directory.join(MAP);
        if REDIRECTS.check_pins(&LoadOptions { pins: Some(directory), ..LoadOptions::default() }).is_err() {
            pins::remove(&map)?;
        }
        let mut object = load(&map, director)?;
        for (program, tracepoint) in PROGRAMS {
            attach(&mut object, program, tracepoint, &directory.join(tracepoint))?;
        }
        drop(object);
        sys::give_back_heap();
        let fd =
            pins::open(&map)?.ok_or_else(|| REDIRECTS.broken(format!("its map {MAP} was not pinned")))?;
        let failures = RawMap::new(fd, None).map_err(kernel(format!("look at {MAP}")))?;
        Ok(Self { failures: Table::new(MAP, failures) })
    }

    /// What was not sent since the map was made.
    pub(super) fn unsent(&self) -> Result<Vec<Unsent>> {
        let mut unsent = Vec::new();
        self.failures.for_each(|failure, frames| {
            let RedirectFailure { from, to, error } = *failure;
            unsent.push(Unsent { from: Some(from).filter(|from| *from != 0), to, error, frames: *frames });
            Ok(())
        })?;
        Ok(unsent)
    }
}

fn load(map: &Path, director: &Maps) -> Result<Ebpf> {
    // Five megabytes, for a moment.
    sys::give_back_large_blocks();
    let bytes = fs::read(btf::KERNEL).map_err(kernel(format!("read {}", btf::KERNEL)))?;
    let btf =
        Btf::parse(&bytes).ok_or_else(|| REDIRECTS.broken(format!("{} is not understood", btf::KERNEL)))?;
    let offset = |structure: &str, member: &str| {
        let missing = || REDIRECTS.broken(format!("this kernel has no {structure}.{member}"));
        btf.offset(structure, member).ok_or_else(missing)
    };
    let number = offset("net", "ns")? + offset("ns_common", "inum")?;
    let namespace =
        fs::metadata("/proc/thread-self/ns/net").map_err(kernel("look at the network namespace"))?;
    let namespace = u32::try_from(namespace.st_ino()).unwrap_or_default();
    let constants = [
        ("DEVICES_ID", director.devices.id()),
        ("NAMESPACE", namespace),
        ("DEVICE_INDEX", offset("net_device", "ifindex")?),
        ("DEVICE_NAMESPACE", offset("net_device", "nd_net")?),
        ("NAMESPACE_NUMBER", number),
    ];
    let mut loader = EbpfLoader::new();
    loader.btf(None).map_pin_path(MAP, map);
    for (name, value) in &constants {
        loader.override_global(name, value, true);
    }
    loader.load(REDIRECTS.bytes).map_err(|error| REDIRECTS.failed(&error))
}

/// Attaches a program and pins its link.
fn attach(object: &mut Ebpf, name: &str, tracepoint: &str, pin: &Path) -> Result<()> {
    let failed = |error: ProgramError| REDIRECTS.failed(&error.into());
    let program =
        object.program_mut(name).ok_or_else(|| REDIRECTS.broken(format!("it has no program {name}")))?;
    let program: &mut RawTracePoint = program.try_into().map_err(failed)?;
    program.load().map_err(failed)?;
    if pin.exists() {
        pins::remove(pin)?;
    }
    let link = program.attach(tracepoint).map_err(failed)?;
    let link: FdLink = program.take_link(link).map_err(failed)?.into();
    let refused = |error: PinError| os_error(&error).unwrap_or_else(|| io::Error::other(error));
    fault::around("a pin", || link.pin(pin).map(drop).map_err(refused))
        .map_err(kernel(format!("pin the link at {}", pin.display())))
}
