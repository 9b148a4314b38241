//! The bench's harness: puts the packet back as it was, takes the next flow, hands over to the program under test. And the
//! yardsticks, which do nothing that could be left out. The floors have a file of their own.
//!
//! `BPF_PROG_TEST_RUN` hands each repetition the packet as the one before left it. With live frames the kernel sends them:
//! `generate` makes them, `send_on` is the least that a director can do, and `arrive` counts them.
#![no_std]
#![no_main]
#![expect(clippy::needless_pass_by_value, reason = "the attribute macro passes the context by value")]

mod floors;

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::helpers::generated::bpf_redirect;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, PerCpuArray, ProgramArray};
use aya_ebpf::programs::XdpContext;
use lb_common::bench::{Layout, OUT_OF_DIRECTOR, OUT_OF_GENERATOR, Recipe};
use lb_common::flow::TCP;
use lb_common::packet::{PacketBytes as _, PacketResize as _};
use lb_ebpf::xdp_packet::XdpPacket;

#[map]
static RECIPE: Array<Recipe> = Array::with_max_entries(1, 0);
#[map]
static UNDER_TEST: ProgramArray = ProgramArray::with_max_entries(1, 0);
/// Interfaces that live frames leave by.
#[map]
static OUT: Array<u32> = Array::with_max_entries(2, 0);
/// How many live frames came to their end.
#[map]
static ARRIVED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// The loopback device.
const LOOPBACK: u32 = 1;
/// Where a frame says that it is IPv4.
const ETHER_TYPE: usize = 12;
const ETHER_TYPE_V4: [u8; 2] = [8, 0];
/// Where a packet of IPv4 says what it holds.
const PROTOCOL: usize = 23;
/// IPv4 in IPv4.
const IPIP: u8 = 4;
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
fn redirect(_context: XdpContext) -> u32 {
    redirect_to(LOOPBACK)
}

/// Makes the next live frame.
#[xdp(frags)]
fn generate(context: XdpContext) -> u32 {
    if prepare(&context).is_none() {
        return XDP_ABORTED;
    }
    send_by(OUT_OF_GENERATOR)
}

/// Sends every frame on, as it is.
#[xdp(frags)]
fn send_on(_context: XdpContext) -> u32 {
    send_by(OUT_OF_DIRECTOR)
}

/// Counts and drops TCP over IPv4, in a tunnel or not; lets all else pass, so that its machine answers ARP.
#[xdp(frags)]
fn arrive(context: XdpContext) -> u32 {
    let packet = XdpPacket::new(context.ctx);
    match (packet.load(ETHER_TYPE), packet.load(PROTOCOL)) {
        (Some(&ETHER_TYPE_V4), Some(&(TCP | IPIP))) => {}
        _ => return XDP_PASS,
    }
    if let Some(count) = ARRIVED.get_ptr_mut(0) {
        // SAFETY: the element is this CPU's own.
        let count = unsafe { &mut *count };
        *count = count.wrapping_add(1);
    }
    XDP_DROP
}

fn send_by(place: u32) -> u32 {
    OUT.get(place).map_or(XDP_ABORTED, |&interface| redirect_to(interface))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an XDP action is a small number"
)]
fn redirect_to(interface: u32) -> u32 {
    // SAFETY: the helper takes two numbers.
    unsafe { bpf_redirect(interface, 0) as u32 }
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
