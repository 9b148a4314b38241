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
const V6_REPLY: u32 = Layout::V6Reply as u32;

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
    let start = context.data();
    match recipe.layout {
        V4 | V4_REPLY if start + V4_BYTES <= context.data_end() => put_v4(start, recipe, flow),
        V6 | V6_REPLY if start + V6_BYTES <= context.data_end() => put_v6(start, recipe, flow),
        _ => return None,
    }
    Some(())
}

/// Bytes that are put back: Ethernet, IPv4 and TCP.
const V4_BYTES: usize = 54;
/// Bytes that are put back: Ethernet, IPv6 and TCP.
const V6_BYTES: usize = 74;

// The header's fields are written whole, none in pieces and none beside its neighbour's half: a processor that reads what
// was just stored in two pieces waits until both have left for the cache. A packet from a network card knows no such wait.

/// The flow's low bytes are in the client's port, its high one in the address.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the verifier follows the packet only in registers")]
#[expect(clippy::cast_possible_truncation, reason = "no byte above the word's was changed")]
fn put_v4(start: usize, recipe: &Recipe, flow: u32) {
    put_ethernet(start, recipe);
    let reply = recipe.layout == V4_REPLY;
    let [_, high, middle, low] = flow.to_be_bytes();
    copy::<u32>(start, recipe, 14);
    copy::<u32>(start, recipe, 18);
    copy::<u32>(start, recipe, 22);
    let (source, destination) = (field::<u32>(recipe, 26).into(), field::<u32>(recipe, 30).into());
    put(start, 26, if reply { source } else { with_byte(source, 3, high) } as u32);
    put(start, 30, if reply { with_byte(destination, 3, high) } else { destination } as u32);
    put_transport(start, recipe, 34, if reply { 2 } else { 0 }, [middle, low]);
}

/// As [`put_v4`].
#[inline(always)]
#[expect(clippy::inline_always, reason = "the verifier follows the packet only in registers")]
fn put_v6(start: usize, recipe: &Recipe, flow: u32) {
    put_ethernet(start, recipe);
    let reply = recipe.layout == V6_REPLY;
    let [_, high, middle, low] = flow.to_be_bytes();
    copy::<u32>(start, recipe, 14);
    copy::<u32>(start, recipe, 18);
    copy::<u64>(start, recipe, 22);
    copy::<u64>(start, recipe, 38);
    let (source, destination) = (field(recipe, 30), field(recipe, 46));
    put(start, 30, if reply { source } else { with_byte(source, 7, high) });
    put(start, 46, if reply { with_byte(destination, 7, high) } else { destination });
    put_transport(start, recipe, 54, if reply { 2 } else { 0 }, [middle, low]);
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "the verifier follows the packet only in registers")]
fn put_ethernet(start: usize, recipe: &Recipe) {
    copy::<u32>(start, recipe, 0);
    copy::<u16>(start, recipe, 4);
    copy::<u32>(start, recipe, 6);
    copy::<u16>(start, recipe, 10);
    copy::<u16>(start, recipe, 12);
}

/// The ports, of which the one at `place` says which flow it is, and what follows.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the verifier follows the packet only in registers")]
#[expect(clippy::cast_possible_truncation, reason = "no byte above the word's was changed")]
fn put_transport(start: usize, recipe: &Recipe, offset: usize, place: u32, [middle, low]: [u8; 2]) {
    let ports = with_byte(field::<u32>(recipe, offset).into(), place, middle);
    put(start, offset, with_byte(ports, place + 1, low) as u32);
    copy::<u64>(start, recipe, offset + 4);
    copy::<u64>(start, recipe, offset + 12);
}

/// `word` with `value` added to the byte at `place`, the lowest is 0, without a carry.
#[inline]
const fn with_byte(word: u64, place: u32, value: u8) -> u64 {
    let shift = 8 * place;
    let mask = 0xff << shift;
    word & !mask | word.wrapping_add((value as u64) << shift) & mask
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "the verifier follows the packet only in registers")]
fn copy<T: Copy>(start: usize, recipe: &Recipe, offset: usize) {
    put::<T>(start, offset, field(recipe, offset));
}

#[inline]
fn field<T: Copy>(recipe: &Recipe, offset: usize) -> T {
    let from = recipe.header.as_ptr().cast::<u8>().wrapping_add(offset).cast::<T>();
    // SAFETY: the callers' fields lie inside the header, and `T` is a number.
    unsafe { from.read_unaligned() }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "the verifier follows the packet only in registers")]
fn put<T: Copy>(start: usize, offset: usize, value: T) {
    // SAFETY: the callers' fields lie inside the frame, whose length `prepare` compared.
    unsafe { ((start + offset) as *mut T).write_unaligned(value) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
