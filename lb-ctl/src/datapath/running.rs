//! All pinned links together, when one program takes the place of others on every interface.

use super::attach::open_link;
use super::error::{Result, kernel};
use super::pins::Pins;
use super::sys::{self, RawLink};
use std::os::fd::{BorrowedFd, OwnedFd};

/// A link that holds an interface, with the program that it runs now.
#[derive(Debug)]
pub(super) struct Running {
    /// The name of the interface.
    pub(super) name: String,
    link: RawLink,
    /// The program that it ran when it was looked at.
    pub(super) program: OwnedFd,
    /// The kernel's id of that program.
    pub(super) id: u32,
}

/// The pinned links whose interface is there.
pub(super) fn all(pins: &Pins) -> Result<Vec<Running>> {
    let mut all = Vec::new();
    for name in pins.link_names()? {
        let path = pins.link(&name);
        let looking = || kernel(format!("look at the link at {}", path.display()));
        let Some(link) = open_link(&path)? else { continue };
        let info = link.info().map_err(looking())?;
        if info.ifindex != 0 {
            let program = sys::program_by_id(info.program).map_err(looking())?;
            all.push(Running { name, link, program, id: info.program });
        }
    }
    Ok(all)
}

impl Running {
    /// Puts `program` in the place of the one that runs, without a packet seeing neither.
    ///
    /// An interface that went away meanwhile needs none.
    pub(super) fn run(&self, program: BorrowedFd<'_>) -> Result<()> {
        match self.link.update(program) {
            Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => Ok(()),
            other => other.map_err(kernel(format!("replace the program on {}", self.name))),
        }
    }

    /// The ids of the maps that its program uses.
    pub(super) fn maps(&self) -> Result<Vec<u32>> {
        use std::os::fd::AsFd as _;
        sys::maps_of(self.program.as_fd()).map_err(kernel(format!("look at the program on {}", self.name)))
    }
}
