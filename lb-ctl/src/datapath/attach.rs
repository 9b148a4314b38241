//! The program on interfaces, through pinned links: what is pinned is what is attached, and nothing is remembered here.

use super::error::{DatapathError, Result, kernel};
use super::links::follow_rename;
use super::pins::{self, Pins};
use super::sys::{self, RawLink};
use super::xdp_mode;
use crate::config::model::Mode;
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

/// How the kernel runs an attached program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
}

impl AttachMode {
    fn flags(self) -> u32 {
        match self {
            Self::Native => aya_obj::generated::XDP_FLAGS_DRV_MODE,
            Self::Generic => aya_obj::generated::XDP_FLAGS_SKB_MODE,
        }
    }

    fn satisfies(self, wanted: Mode) -> bool {
        match wanted {
            Mode::Auto => true,
            Mode::Native => self == Self::Native,
            Mode::Generic => self == Self::Generic,
        }
    }
}

impl fmt::Display for AttachMode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Native => "native",
            Self::Generic => "generic",
        })
    }
}

/// An interface that the program is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Its index.
    pub ifindex: u32,
    /// How the program is attached.
    pub mode: AttachMode,
    /// What the driver answered to native mode, when `auto` has just fallen back to generic.
    pub refusal: Option<String>,
}

/// Attaches `program` to the interface `name`, or puts it in the place of the one that the pinned link holds.
pub(super) fn attach(pins: &Pins, program: BorrowedFd<'_>, name: &str, mode: Mode) -> Result<Attached> {
    let Some(ifindex) = index_of(name)? else {
        return Err(DatapathError::UnknownInterface { interface: name.to_owned() });
    };
    follow_rename(pins, name, ifindex)?;
    let path = pins.link(name);
    let port = Port { name, ifindex, program };
    let Some(link) = open_link(&path)? else { return port.attach(mode, &path) };
    if interface_of(&link, &path)? != ifindex {
        // The interface was deleted and made again, or another one has its name now.
        remove(&path, &link)?;
        return port.attach(mode, &path);
    }
    let now = mode_of(name, ifindex)?;
    if now.satisfies(mode) {
        link.update(program).map_err(kernel(format!("replace the program on {name}")))?;
        return Ok(Attached { ifindex, mode: now, refusal: None });
    }
    remove(&path, &link)?;
    port.attach(mode, &path).inspect_err(|_| {
        // What was attached before comes back; the error of the new mode is the one that counts.
        port.attach_as(now, &path).ok();
    })
}

/// Takes the program off the interface `name`.
pub(super) fn detach(pins: &Pins, name: &str) -> Result<()> {
    let path = pins.link(name);
    match open_link(&path)? {
        Some(link) => remove(&path, &link),
        None => Err(DatapathError::NotAttached { interface: name.to_owned() }),
    }
}

/// Every interface that a pinned link holds. Links whose interface is gone are left out.
pub(super) fn attachments(pins: &Pins) -> Result<Vec<(String, Attached)>> {
    let mut attached = Vec::new();
    for name in pins.link_names()? {
        let path = pins.link(&name);
        let Some(link) = open_link(&path)? else { continue };
        let ifindex = interface_of(&link, &path)?;
        if ifindex != 0 && index_of(&name)? == Some(ifindex) {
            let mode = mode_of(&name, ifindex)?;
            attached.push((name, Attached { ifindex, mode, refusal: None }));
        }
    }
    Ok(attached)
}

/// Unpins the links whose interface is gone; gives the names that they had.
pub(super) fn remove_defunct(pins: &Pins) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for name in pins.link_names()? {
        let path = pins.link(&name);
        let Some(link) = open_link(&path)? else { continue };
        if interface_of(&link, &path)? == 0 {
            pins::remove(&path)?;
            removed.push(name);
        }
    }
    Ok(removed)
}

/// Whether there is an interface `name` that the program is not attached to as `mode` says.
pub(super) fn is_missing(attached: &[(String, Attached)], name: &str, mode: Mode) -> Result<bool> {
    let Some(ifindex) = index_of(name)? else { return Ok(false) };
    let is_it = |(own, attached): &(String, Attached)| {
        own == name && attached.ifindex == ifindex && attached.mode.satisfies(mode)
    };
    Ok(!attached.iter().any(is_it))
}

/// An interface that nothing of ours is attached to.
struct Port<'a> {
    name: &'a str,
    ifindex: u32,
    program: BorrowedFd<'a>,
}

impl Port<'_> {
    fn attach(&self, mode: Mode, path: &Path) -> Result<Attached> {
        match mode {
            Mode::Generic => self.attach_as(AttachMode::Generic, path),
            Mode::Native => self.attach_as(AttachMode::Native, path),
            Mode::Auto => match self.attach_as(AttachMode::Native, path) {
                Err(
                    error @ (DatapathError::NoNativeSupport { .. } | DatapathError::NativeRefused { .. }),
                ) => {
                    let attached = self.attach_as(AttachMode::Generic, path)?;
                    Ok(Attached { refusal: Some(error.to_string()), ..attached })
                }
                other => other,
            },
        }
    }

    fn attach_as(&self, mode: AttachMode, path: &Path) -> Result<Attached> {
        let link = RawLink::create(self.program, self.ifindex, mode.flags())
            .map_err(|error| self.refused(mode, error))?;
        sys::pin(link.as_fd(), path).map_err(kernel(format!("pin the link at {}", path.display())))?;
        Ok(Attached { ifindex: self.ifindex, mode, refusal: None })
    }

    /// What the kernel's answer means.
    ///
    /// EOPNOTSUPP is a driver without XDP. With EINVAL, ERANGE, ENOSPC, ENOTCONN and ENOMEM drivers refuse an MTU,
    /// offloads or a number of queues. EBUSY and EEXIST are another program, in the same mode or in the other one.
    fn refused(&self, mode: AttachMode, source: io::Error) -> DatapathError {
        let interface = self.name.to_owned();
        match (source.raw_os_error(), mode) {
            (Some(libc::EPERM | libc::EACCES), _) => {
                DatapathError::NotPermitted { doing: format!("attach to {interface}") }
            }
            (Some(libc::ENODEV), _) => DatapathError::UnknownInterface { interface },
            (Some(libc::EBUSY | libc::EEXIST), _) => {
                let program = xdp_mode::query(self.ifindex).ok().and_then(|state| state.program);
                DatapathError::Occupied { interface, program }
            }
            (Some(libc::EOPNOTSUPP), AttachMode::Native) => DatapathError::NoNativeSupport { interface },
            (
                Some(libc::EINVAL | libc::ERANGE | libc::ENOSPC | libc::ENOTCONN | libc::ENOMEM),
                AttachMode::Native,
            ) => DatapathError::NativeRefused { interface, source },
            _ => DatapathError::Attach { interface, mode, source },
        }
    }
}

pub(super) fn open_link(path: &Path) -> Result<Option<RawLink>> {
    let Some(fd) = pins::open(path)? else { return Ok(None) };
    RawLink::new(fd).map(Some).map_err(kernel(format!("adopt the link at {}", path.display())))
}

/// The index of the interface that a link holds; 0 if it is gone.
pub(super) fn interface_of(link: &RawLink, path: &Path) -> Result<u32> {
    Ok(link.info().map_err(kernel(format!("look at the link at {}", path.display())))?.ifindex)
}

pub(super) fn index_of(name: &str) -> Result<Option<u32>> {
    sys::interface_index(name).map_err(kernel(format!("look up interface {name}")))
}

/// Detaches and unpins. Detaching comes first: the pin is the only way back to a link that is still attached.
pub(super) fn remove(path: &Path, link: &RawLink) -> Result<()> {
    link.detach().map_err(kernel(format!("detach the link at {}", path.display())))?;
    pins::remove(path)
}

pub(super) fn mode_of(name: &str, ifindex: u32) -> Result<AttachMode> {
    let state =
        xdp_mode::query(ifindex).map_err(kernel(format!("ask how the program is attached to {name}")))?;
    Ok(if state.native { AttachMode::Native } else { AttachMode::Generic })
}
