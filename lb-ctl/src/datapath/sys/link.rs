//! One XDP link, by its descriptor.

use super::{bpf, info, number, owned};
use crate::fault;
use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_link_type};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use zerocopy::{FromBytes, IntoBytes};

/// A link between an interface and a program. Pinned it stays when the descriptor is closed.
#[derive(Debug)]
pub(in crate::datapath) struct RawLink(OwnedFd);

/// The beginning of `bpf_link_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
pub(in crate::datapath) struct LinkInfo {
    kind: u32,
    id: u32,
    /// Id of the program.
    pub(in crate::datapath) program: u32,
    unused: u32,
    /// Index of the interface; 0 once the interface is gone.
    pub(in crate::datapath) ifindex: u32,
    rest: u32,
}

#[repr(C)]
#[derive(IntoBytes)]
struct Create {
    program: u32,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
#[derive(IntoBytes)]
struct Update {
    link: u32,
    program: u32,
    flags: u32,
    old_program: u32,
}

#[repr(C)]
#[derive(IntoBytes)]
struct Detach {
    link: u32,
}

impl RawLink {
    /// Attaches `program` to the interface with this index; `flags` are `XDP_FLAGS_*`.
    ///
    /// aya is not asked because it turns to netlink on `EINVAL`, which makes an attachment that cannot be pinned.
    pub(in crate::datapath) fn create(program: BorrowedFd<'_>, ifindex: u32, flags: u32) -> io::Result<Self> {
        let attach_type = bpf_attach_type::BPF_XDP as u32;
        let mut attributes = Create { program: number(program.as_raw_fd()), ifindex, attach_type, flags };
        fault::around("a new link", || {
            // SAFETY: the attributes hold no address.
            owned(unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut attributes) }?).map(Self)
        })
    }

    /// The link behind `fd`; an error if it is another kind of object.
    pub(in crate::datapath) fn new(fd: OwnedFd) -> io::Result<Self> {
        let link = Self(fd);
        if link.info()?.kind == bpf_link_type::BPF_LINK_TYPE_XDP as u32 {
            return Ok(link);
        }
        Err(io::Error::other("it is no XDP link"))
    }

    /// Puts `program` in the place of the one that is attached, without a packet seeing neither.
    pub(in crate::datapath) fn update(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        let (link, program) = (number(self.0.as_raw_fd()), number(program.as_raw_fd()));
        let mut attributes = Update { link, program, flags: 0, old_program: 0 };
        fault::around("the program of a link", || {
            // SAFETY: the attributes hold no address.
            unsafe { bpf(bpf_cmd::BPF_LINK_UPDATE, &mut attributes) }.map(drop)
        })
    }

    /// Takes the program off the interface at once, whoever else holds the link.
    pub(in crate::datapath) fn detach(&self) -> io::Result<()> {
        let mut attributes = Detach { link: number(self.0.as_raw_fd()) };
        fault::around("an interface without its link", || {
            // SAFETY: the attributes hold no address.
            unsafe { bpf(bpf_cmd::BPF_LINK_DETACH, &mut attributes) }.map(drop)
        })
    }

    /// What the kernel says of it.
    pub(in crate::datapath) fn info(&self) -> io::Result<LinkInfo> {
        info(self.0.as_fd())
    }
}

impl AsFd for RawLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
