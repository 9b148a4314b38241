//! System calls that no crate wraps as they are needed here: bpf(2) beyond what aya offers, and a few small ones.
//!
//! All pointers that are handed to the kernel are made in this module, from slices whose lengths were compared with
//! the sizes that the kernel itself reports. Nothing here knows what a service or a server is.

mod interface;
mod link;
mod map;
mod program;
mod program_info;

pub(super) use interface::{interface_index, interface_name, local_addresses};
pub(super) use link::RawLink;
pub(super) use map::{Batch, RawMap, create_array};
pub(super) use program::test_run;
pub(super) use program_info::{id_of, program_by_id, tag_of};

use crate::fault;
use aya_obj::generated::bpf_cmd;
use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use zerocopy::{FromZeros, IntoBytes};

/// Calls bpf(2).
///
/// # Safety
///
/// Every address in `attributes` is that of memory which lives until the call returns and is as large as `command`
/// reads or writes.
#[expect(clippy::cast_possible_wrap, reason = "commands are small numbers")]
unsafe fn bpf<T: IntoBytes>(command: bpf_cmd, attributes: &mut T) -> io::Result<i64> {
    let pointer = std::ptr::from_mut(attributes);
    // SAFETY: `attributes` has no padding and the size is its own; what it points to is the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command as u32 as i32, pointer, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn number(fd: RawFd) -> u32 {
    fd.unsigned_abs()
}

/// Takes the descriptor that a bpf(2) command returned.
fn owned(result: i64) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(result).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: the kernel has just opened it, with close-on-exec, for this caller alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[repr(C)]
#[derive(IntoBytes)]
struct Pin {
    path: u64,
    fd: u32,
    flags: u32,
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Opens what is pinned at `path`.
pub(super) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut attributes = Pin { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: `path` is a string that outlives the call.
    owned(unsafe { bpf(bpf_cmd::BPF_OBJ_GET, &mut attributes) }?)
}

/// Pins an object at `path`.
pub(super) fn pin(fd: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let mut attributes = Pin { path: path.as_ptr() as u64, fd: number(fd.as_raw_fd()), flags: 0 };
    fault::around("a pin", || {
        // SAFETY: `path` is a string that outlives the call.
        unsafe { bpf(bpf_cmd::BPF_OBJ_PIN, &mut attributes) }.map(drop)
    })
}

#[repr(C)]
#[derive(IntoBytes)]
struct GetInfo {
    fd: u32,
    length: u32,
    info: u64,
}

/// What the kernel says of a map, a link or a program: the first bytes of its `bpf_*_info`, as many as `T` has.
fn info<T: FromZeros + IntoBytes>(fd: BorrowedFd<'_>) -> io::Result<T> {
    let mut info = T::new_zeroed();
    let length = u32::try_from(size_of::<T>()).map_err(io::Error::other)?;
    let mut attributes =
        GetInfo { fd: number(fd.as_raw_fd()), length, info: std::ptr::from_mut(&mut info) as u64 };
    // SAFETY: `info` outlives the call and is `length` bytes, more than which the kernel does not write.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok(info)
}

/// Whether `path` is on a BPF file system.
pub(super) fn is_bpffs(path: &Path) -> io::Result<bool> {
    let path = c_path(path)?;
    let mut status = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: both pointers are to memory that outlives the call, of the type it wants.
    let result = unsafe { libc::statfs(path.as_ptr(), status.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it filled the structure.
    let status = unsafe { status.assume_init() };
    Ok(status.f_type == libc::BPF_FS_MAGIC)
}

/// Waits until every CPU has passed through a point where no XDP program holds a pointer into a map.
pub(super) fn membarrier() -> io::Result<()> {
    // SAFETY: the call takes numbers only.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Keeps glibc from holding on to large blocks that are freed: it does, after the first one, up to twice its size.
pub(super) fn give_back_large_blocks() {
    const LARGE: libc::c_int = 128 * 1024;
    // SAFETY: the call takes numbers only.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE)
    };
}

/// Gives the free memory of the heap back: reading a kernel's types leaves more of it than the agent ever needs again.
pub(super) fn give_back_heap() {
    // SAFETY: the call takes a number only.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// The coarse monotonic clock.
pub(super) fn coarse_clock() -> io::Result<libc::timespec> {
    clock(libc::CLOCK_MONOTONIC_COARSE)
}

/// How long this thread has had a processor.
pub(super) fn thread_clock() -> io::Result<libc::timespec> {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn clock(which: libc::clockid_t) -> io::Result<libc::timespec> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call.
    let result = unsafe { libc::clock_gettime(which, &raw mut time) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(time) }
}
