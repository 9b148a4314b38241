//! All pinned links together, when one program takes the place of others on every interface.

use super::attach::open_link;
use super::error::{Result, kernel};
use super::pins::Pins;
use super::sys::RawLink;
use std::os::fd::BorrowedFd;

/// A link that holds an interface.
#[derive(Debug)]
pub(super) struct Running {
    /// The name of the interface.
    pub(super) name: String,
    link: RawLink,
    /// The kernel's id of the program that it ran when it was looked at.
    pub(super) program: u32,
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
            all.push(Running { name, link, program: info.program });
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
}
