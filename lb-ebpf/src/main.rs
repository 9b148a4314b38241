//! The director's XDP program. `pipeline.rs` is the first file to read.
#![no_std]
#![no_main]
#![expect(clippy::needless_pass_by_value, reason = "the attribute macro passes the context by value")]
#![feature(core_intrinsics)]
#![expect(internal_features, reason = "the target has no other atomic add; RUSTC_BOOTSTRAP=1 allows it")]

mod account;
mod answer;
mod classify;
mod connection;
mod entry;
mod forward;
mod maps;
mod pair;
mod pipeline;
mod reply;
mod schedule;
mod subprograms;
mod untracked;
mod work;

use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

/// The entry point: one frame in, one XDP action out.
#[xdp(frags)]
fn director(context: XdpContext) -> u32 {
    pipeline::run(context.ctx)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
