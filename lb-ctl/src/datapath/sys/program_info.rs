//! What the kernel says of a loaded program: which maps it uses, and whether two programs are the same one.

use super::{GetInfo, bpf, number, owned};
use aya_obj::generated::bpf_cmd;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use zerocopy::{FromZeros, IntoBytes};

/// The beginning of `bpf_prog_info`. Lengths of zero ask for none of the instructions.
#[repr(C)]
#[derive(Clone, Copy, FromZeros, IntoBytes)]
struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_length: u32,
    translated_length: u32,
    jited: u64,
    translated: u64,
    loaded: u64,
    user: u32,
    map_count: u32,
    maps: u64,
}

#[repr(C)]
#[derive(IntoBytes)]
struct ById {
    id: u32,
    unused: u32,
    flags: u32,
}

/// The program with this id.
pub(in crate::datapath) fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attributes = ById { id, unused: 0, flags: 0 };
    // SAFETY: the attributes hold no address.
    owned(unsafe { bpf(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attributes) }?)
}

/// The ids of the maps that `program` uses, those of its constants and its log among them.
pub(in crate::datapath) fn maps_of(program: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let info = info(program)?;
    let mut ids = vec![0_u32; info.map_count as usize];
    let mut wanted = ProgramInfo { map_count: info.map_count, ..ProgramInfo::new_zeroed() };
    wanted.maps = ids.as_mut_ptr() as u64;
    // SAFETY: `maps` is the address of `map_count` words, which outlive the call.
    unsafe { read_into(program, &mut wanted) }?;
    Ok(ids)
}

/// A hash of the program's instructions, without the maps and constants that it uses.
pub(in crate::datapath) fn tag_of(program: BorrowedFd<'_>) -> io::Result<[u8; 8]> {
    Ok(info(program)?.tag)
}

fn info(program: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
    let mut info = ProgramInfo::new_zeroed();
    // SAFETY: it holds no address.
    unsafe { read_into(program, &mut info) }?;
    Ok(info)
}

/// Fills `info`.
///
/// # Safety
///
/// `info.maps` is 0, or the address of `info.map_count` words that outlive the call; there is no other address in it.
unsafe fn read_into(program: BorrowedFd<'_>, info: &mut ProgramInfo) -> io::Result<()> {
    let length = u32::try_from(size_of::<ProgramInfo>()).map_err(io::Error::other)?;
    let mut attributes =
        GetInfo { fd: number(program.as_raw_fd()), length, info: std::ptr::from_mut(info) as u64 };
    // SAFETY: `info` outlives the call and is `length` bytes; what it points to is the caller's promise.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes) }.map(drop)
}
