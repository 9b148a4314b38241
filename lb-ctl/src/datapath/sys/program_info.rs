//! What the kernel says of a loaded program: which one it is, and whether two are of the same instructions.

use super::{bpf, owned};
use aya_obj::generated::bpf_cmd;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use zerocopy::{FromZeros, IntoBytes};

/// The beginning of `bpf_prog_info`.
#[repr(C)]
#[derive(Clone, Copy, FromZeros, IntoBytes)]
struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
}

#[repr(C)]
#[derive(IntoBytes)]
struct ById {
    id: u32,
    unused: u32,
    flags: u32,
}

/// The program with this id. The kernel asks for `CAP_SYS_ADMIN`, which an agent has not.
pub(in crate::datapath) fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attributes = ById { id, unused: 0, flags: 0 };
    // SAFETY: the attributes hold no address.
    owned(unsafe { bpf(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attributes) }?)
}

/// The kernel's id of `program`.
pub(in crate::datapath) fn id_of(program: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(info(program)?.id)
}

/// A hash of the program's instructions, without the maps and constants that it uses.
pub(in crate::datapath) fn tag_of(program: BorrowedFd<'_>) -> io::Result<[u8; 8]> {
    Ok(info(program)?.tag)
}

fn info(program: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
    super::info(program)
}
