//! Running a loaded program on one packet.

use super::{bpf, number};
use aya_obj::generated::bpf_cmd;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use zerocopy::IntoBytes;

#[repr(C)]
#[derive(IntoBytes)]
struct Attributes {
    program: u32,
    returned: u32,
    data_in_size: u32,
    data_out_size: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_in_size: u32,
    context_out_size: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    unused: u32,
}

/// `struct xdp_md`.
#[repr(C)]
#[derive(IntoBytes)]
struct Context {
    data: u32,
    data_end: u32,
    data_meta: u32,
    ingress_ifindex: u32,
    rx_queue_index: u32,
    egress_ifindex: u32,
}

const LARGEST: usize = 65_536;

/// Runs `program` once on `packet`: what it returned, and the packet as it left it.
///
/// It is as if the packet came in by the interface with the index `ingress`, of this network namespace; the interface
/// must have a receive queue, which a veth has and a bridge has not. `None` is the loopback device.
pub(in crate::datapath) fn test_run(
    program: BorrowedFd<'_>,
    packet: &[u8],
    ingress: Option<u32>,
) -> io::Result<(u32, Vec<u8>)> {
    let size = |length: usize| u32::try_from(length).map_err(io::Error::other);
    let context = Context {
        data: 0,
        data_end: size(packet.len())?,
        data_meta: 0,
        ingress_ifindex: ingress.unwrap_or(0),
        rx_queue_index: 0,
        egress_ifindex: 0,
    };
    let mut out = vec![0; LARGEST];
    let mut attributes = Attributes {
        program: number(program.as_raw_fd()),
        returned: 0,
        data_in_size: size(packet.len())?,
        data_out_size: size(out.len())?,
        data_in: packet.as_ptr() as u64,
        data_out: out.as_mut_ptr() as u64,
        repeat: 1,
        duration: 0,
        context_in_size: if ingress.is_some() { size(size_of::<Context>())? } else { 0 },
        context_out_size: 0,
        context_in: if ingress.is_some() { std::ptr::from_ref(&context) as u64 } else { 0 },
        context_out: 0,
        flags: 0,
        cpu: 0,
        batch_size: 0,
        unused: 0,
    };
    // SAFETY: the three addresses are those of memory that outlives the call, with the sizes beside them.
    unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attributes) }?;
    out.truncate(attributes.data_out_size as usize);
    Ok((attributes.returned, out))
}
