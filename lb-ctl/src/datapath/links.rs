//! Pinned links whatever became of their interfaces: listed, moved to the name that an interface has now, forgotten.

use super::attach::{Attached, interface_of, mode_of, open_link, remove};
use super::error::{DatapathError, Result, kernel};
use super::pins::{self, Pins};
use super::sys;
use std::os::fd::BorrowedFd;

/// A pinned link, as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedLink {
    /// What it is pinned under: the name that its interface had when it was attached.
    pub name: String,
    /// Index of the interface that it holds; 0 once that is gone, or the program was taken off.
    pub ifindex: u32,
    /// Whether it holds this agent's program, not that of an agent before it.
    pub current: bool,
}

/// Every pinned link, by name.
pub(super) fn links(pins: &Pins, program: BorrowedFd<'_>) -> Result<Vec<PinnedLink>> {
    let ours = sys::id_of(program).map_err(kernel("look at the program"))?;
    let mut links = Vec::new();
    for name in pins.link_names()? {
        let path = pins.link(&name);
        let Some(link) = open_link(&path)? else { continue };
        let info = link.info().map_err(kernel(format!("look at the link at {}", path.display())))?;
        links.push(PinnedLink { name, ifindex: info.ifindex, current: info.program == ours });
    }
    Ok(links)
}

/// Puts `program` in the place of the one that the link `name` holds, whatever its interface is called now.
pub(super) fn update(pins: &Pins, program: BorrowedFd<'_>, name: &str) -> Result<()> {
    let link = open_link(&pins.link(name))?
        .ok_or_else(|| DatapathError::NotAttached { interface: name.to_owned() })?;
    link.update(program).map_err(kernel(format!("replace the program on {name}")))
}

/// The interfaces that a link holds under another name than they have now, by the present one.
pub(super) fn renamed(pins: &Pins) -> Result<Vec<(String, Attached)>> {
    let mut renamed = Vec::new();
    for old in pins.link_names()? {
        let path = pins.link(&old);
        let Some(link) = open_link(&path)? else { continue };
        let ifindex = interface_of(&link, &path)?;
        let name = sys::interface_name(ifindex).map_err(kernel(format!("look up interface {ifindex}")))?;
        if let Some(name) = name.filter(|name| *name != old) {
            let mode = mode_of(&name, ifindex)?;
            renamed.push((name, Attached { ifindex, mode, refusal: None }));
        }
    }
    Ok(renamed)
}

/// Pins under `name` the link that holds the interface `ifindex` under another name: the interface was renamed.
pub(super) fn follow_rename(pins: &Pins, name: &str, ifindex: u32) -> Result<()> {
    for other in pins.link_names()?.iter().filter(|other| *other != name) {
        let (old, new) = (pins.link(other), pins.link(name));
        let Some(link) = open_link(&old)? else { continue };
        if interface_of(&link, &old)? != ifindex {
            continue;
        }
        if let Some(in_the_way) = open_link(&new)? {
            remove(&new, &in_the_way)?;
        }
        return pins::rename(&old, &new);
    }
    Ok(())
}
