//! A program in XDP that lets everything pass, for the switches' ends of wires.
//!
//! What a program sends by `XDP_TX` on one end of a veth pair waits in the other end's ring until that end is woken, and
//! the kernel wakes it only if it has a program of its own: receive offload alone gives it the ring, but not the call
//! (`veth_xdp_flush` in drivers/net/veth.c, Linux 6.18). Without this, packets came seconds late.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result};

// Numbers of linux/bpf.h.
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_F_XDP_HAS_FRAGS: u32 = 1 << 5;

/// `r0 = XDP_PASS; exit`, as the kernel lays out `struct bpf_insn` on a little-endian host.
const PROGRAM: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 2, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];

/// The members of `union bpf_attr` that loading needs.
#[repr(C)]
struct LoadAttributes {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log: [u32; 4],
    kernel_version: u32,
    flags: u32,
}

/// The members of `union bpf_attr` that pinning needs.
#[repr(C)]
struct PinAttributes {
    path: u64,
    program: u32,
    flags: u32,
}

/// Loads the program and pins it at `path`.
pub(super) fn pin(path: &Path) -> Result<()> {
    let name = CString::new(path.as_os_str().as_bytes()).context("a path with a zero byte")?;
    load()
        .and_then(|program| {
            let program = u32::try_from(program.as_raw_fd()).map_err(io::Error::other)?;
            bpf(BPF_OBJ_PIN, &PinAttributes { path: name.as_ptr() as u64, program, flags: 0 }).map(drop)
        })
        .with_context(|| format!("cannot pin a program at {}", path.display()))
}

fn load() -> io::Result<OwnedFd> {
    let attributes = LoadAttributes {
        kind: BPF_PROG_TYPE_XDP,
        count: 2,
        instructions: PROGRAM.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log: [0; 4],
        kernel_version: 0,
        flags: BPF_F_XDP_HAS_FRAGS,
    };
    let descriptor = bpf(BPF_PROG_LOAD, &attributes)?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<libc::c_int> {
    // SAFETY: the attributes begin as the command's, and the pointers in them outlive the call.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(answer).map_err(io::Error::other) }
}
