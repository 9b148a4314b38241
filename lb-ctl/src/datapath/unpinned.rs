//! The program without pins and with small tables: for the tests, which run it on one packet at a time.

use super::error::{Result, kernel};
use super::object::{DIRECTOR, Embedded, LoadOptions};
use super::{Datapath, sys};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use zerocopy::IntoBytes as _;

/// Tables that take long to make or to read, or much memory, in their full size.
const SMALL: [(&str, u32); 9] = [
    ("SLOTS", 128 * 1024),
    ("CONNECTIONS", 4_096),
    ("HALF_OPEN", 4_096),
    ("SERVICE_KEYS", 8_192),
    ("SERVICES", 256),
    ("SEQUENCE", 256),
    ("SERVICE_COUNTERS", 256),
    ("SERVERS", 1_024),
    ("SERVER_COUNTERS", 1_024),
];

/// The program, to be run on packets in another thread while the tables change.
#[derive(Debug)]
pub struct Runner(OwnedFd);

impl Runner {
    /// As [`Datapath::test_run`] by the loopback device.
    ///
    /// # Errors
    ///
    /// As [`Datapath::test_run`].
    pub fn test_run(&self, packet: &[u8]) -> Result<(u32, Vec<u8>)> {
        run(self.0.as_fd(), packet, None)
    }

    /// Puts the program into element 0 of an array of programs, for a harness that calls it.
    ///
    /// # Errors
    ///
    /// [`super::DatapathError::Kernel`] if the array is for programs of another kind.
    pub fn enter(&self, array: OwnedFd) -> Result<()> {
        let map = sys::RawMap::new(array, None).map_err(kernel("look at the array of programs"))?;
        map.update(0_u32.as_bytes(), self.0.as_raw_fd().as_bytes()).map_err(kernel("hand over the program"))
    }
}

fn run(program: BorrowedFd<'_>, packet: &[u8], ingress: Option<u32>) -> Result<(u32, Vec<u8>)> {
    sys::test_run(program, packet, ingress)
        .map_err(kernel(format!("run the program on {} bytes", packet.len())))
}

impl Datapath {
    /// A handle for running the program in another thread.
    ///
    /// # Errors
    ///
    /// [`super::DatapathError::Kernel`] if this process has no more descriptors.
    pub fn runner(&self) -> Result<Runner> {
        self.program.try_clone().map(Runner).map_err(kernel("hand out the program"))
    }

    /// Loads the program with small tables that vanish with it. It cannot be attached.
    ///
    /// # Errors
    ///
    /// As [`Datapath::open`].
    pub fn open_unpinned() -> Result<Self> {
        Self::open_unpinned_with(&SMALL)
    }

    /// As [`Datapath::open_unpinned`], with these numbers of entries instead of the default ones.
    ///
    /// # Errors
    ///
    /// As [`Datapath::open`].
    pub fn open_unpinned_with(entries: &[(&'static str, u32)]) -> Result<Self> {
        Self::with(DIRECTOR.load(&LoadOptions { entries, ..LoadOptions::default() })?, None)
    }

    /// As [`Datapath::open_unpinned_with`], with the program of `object` instead of the one that lb-ctl carries.
    ///
    /// # Errors
    ///
    /// As [`Datapath::open`], and [`super::DatapathError::Object`] if it is no object, or one whose maps this lb-ctl cannot
    /// write.
    pub fn open_unpinned_from(object: &[u8], entries: &[(&'static str, u32)]) -> Result<Self> {
        let other = Embedded { bytes: object, ..DIRECTOR };
        other.check_schema(&DIRECTOR)?;
        Self::with(other.load(&LoadOptions { entries, ..LoadOptions::default() })?, None)
    }

    /// Has packets of unknown flows wait until `until`, in milliseconds of the program's clock.
    ///
    /// # Errors
    ///
    /// [`super::DatapathError::OutOfRange`] never, as the settings are there.
    pub fn hold_until(&self, until: u32) -> Result<()> {
        self.maps.write_hold(until)
    }

    /// Runs the program on `packet`, a whole frame: the XDP action, and the frame as the program left it.
    ///
    /// It is as if the frame came in by the interface with the index `ingress` of this network namespace. The
    /// interface must be up; `None` is the loopback device.
    ///
    /// # Errors
    ///
    /// [`super::DatapathError::Kernel`] if the kernel cannot run it: `packet` is shorter than an Ethernet header or
    /// larger than a buffer, or there is no such interface.
    pub fn test_run(&mut self, packet: &[u8], ingress: Option<u32>) -> Result<(u32, Vec<u8>)> {
        run(self.program.as_fd(), packet, ingress)
    }
}
