//! The bench's harness: puts the packet back as it was, takes the next flow, hands over to the program under test. And the
//! yardsticks, which do nothing that could be left out. The floors have a file of their own.
//!
//! `BPF_PROG_TEST_RUN` hands each repetition the packet as the one before left it.
#![no_std]
#![no_main]
#![expect(clippy::needless_pass_by_value, reason = "the attribute macro passes the context by value")]

mod floors;

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_TX};
use aya_ebpf::helpers::generated::bpf_redirect;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, ProgramArray};
use aya_ebpf::programs::XdpContext;
use lb_common::bench::{Layout, Recipe};
use lb_common::packet::{PacketBytes as _, PacketResize as _};
use lb_ebpf::xdp_packet::XdpPacket;

#[map]
static RECIPE: Array<Recipe> = Array::with_max_entries(1, 0);
#[map]
static UNDER_TEST: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// The loopback device.
const LOOPBACK: u32 = 1;
/// Length of an outer IPv4 header.
const OUTER: i32 = 20;

/// The harness.
#[xdp(frags)]
fn restore(context: XdpContext) -> u32 {
    if prepare(&context).is_some() {
        // SAFETY: the array holds a program of the same kind, or the call returns.
        unsafe { UNDER_TEST.tail_call(&context, 0) };
    }
    XDP_ABORTED
}

/// The least that a program can do.
#[xdp(frags)]
fn tx(_context: XdpContext) -> u32 {
    XDP_TX
}

/// The least that a tunnel can do.
#[xdp(frags)]
fn push(context: XdpContext) -> u32 {
    match XdpPacket::new(context.ctx).grow_head(OUTER) {
        Some(()) => XDP_TX,
        None => XDP_ABORTED,
    }
}

/// The least that a program between two interfaces can do.
#[xdp(frags)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an XDP action is a small number"
)]
fn redirect(_context: XdpContext) -> u32 {
    // SAFETY: the helper takes two numbers.
    unsafe { bpf_redirect(LOOPBACK, 0) as u32 }
}

const V4: u32 = Layout::V4 as u32;
const V4_REPLY: u32 = Layout::V4Reply as u32;
const V6: u32 = Layout::V6 as u32;

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a frame has no more than 64 kB")]
fn prepare(context: &XdpContext) -> Option<()> {
    let recipe = RECIPE.get_ptr_mut(0)?;
    // SAFETY: one CPU runs the bench; nothing else writes the element while it runs.
    let recipe = unsafe { &mut *recipe };
    let mut packet = XdpPacket::new(context.ctx);
    let length = packet.frame_len() as u32;
    if length != recipe.length {
        packet.grow_head(recipe.length.wrapping_sub(length).cast_signed())?;
    }
    let flow = recipe.next & recipe.mask;
    recipe.next = recipe.next.wrapping_add(1);
    match recipe.layout {
        V4 => put::<7, 29, 34>(context, &mut packet, recipe, flow),
        V4_REPLY => put::<7, 33, 36>(context, &mut packet, recipe, flow),
        V6 => put::<10, 37, 54>(context, &mut packet, recipe, flow),
        _ => put::<10, 53, 56>(context, &mut packet, recipe, flow),
    }
}

/// Writes the first `WORDS` words, and the flow: its low bytes into the port at `PORT`, its high one into the address.
#[inline]
fn put<const WORDS: usize, const ADDRESS: usize, const PORT: usize>(
    context: &XdpContext,
    packet: &mut XdpPacket,
    recipe: &Recipe,
    flow: u32,
) -> Option<()> {
    let start = context.data();
    if start + WORDS * 8 > context.data_end() {
        return None;
    }
    for (place, word) in recipe.header.iter().enumerate().take(WORDS) {
        let to = (start as *mut u64).wrapping_add(place);
        // SAFETY: the frame has `WORDS` words, and begins at a whole one: nothing is in front of it.
        unsafe { to.write(*word) };
    }
    let [_, high, middle, low] = flow.to_be_bytes();
    for (place, value) in [(ADDRESS, high), (PORT, middle), (PORT + 1, low)] {
        let byte = packet.load_mut::<u8>(place)?;
        *byte = byte.wrapping_add(value);
    }
    Some(())
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
