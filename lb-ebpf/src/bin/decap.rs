//! The decapsulation program for servers: IP-in-IP for this host, with an inner VIP it was told about.
//!
//! Everything else passes untouched. It has three maps of its own and shares none with the director.
#![no_std]
#![no_main]
#![expect(clippy::needless_pass_by_value, reason = "the attribute macro passes the context by value")]

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{HashMap, PerCpuArray};
use aya_ebpf::programs::XdpContext;
use lb_common::address::Address;
use lb_common::counters::Count;
use lb_common::forward::ipip::{decapsulate, tunnelled};
use lb_common::maps::MAX_DECAP_ADDRESSES;
use lb_common::packet::PacketBytes as _;
use lb_common::verdict::{Outcome, REASON_COUNTERS, Reason, Verdict};
use lb_ebpf::xdp_packet::XdpPacket;

#[map]
static DECAP_VIPS: HashMap<Address, u32> = HashMap::with_max_entries(MAX_DECAP_ADDRESSES, 0);
#[map]
static DECAP_ADDRESSES: HashMap<Address, u32> = HashMap::with_max_entries(MAX_DECAP_ADDRESSES, 0);
#[map]
static DECAP_COUNTERS: PerCpuArray<Count> = PerCpuArray::with_max_entries(REASON_COUNTERS, 0);

/// The entry point: one frame in, one XDP action out.
#[xdp(frags)]
fn decap(context: XdpContext) -> u32 {
    let mut packet = XdpPacket::new(context.ctx);
    let bytes = packet.frame_len() as u64;
    let verdict = decide(&mut packet);
    count(verdict, bytes);
    match verdict.outcome {
        Outcome::Pass => XDP_PASS,
        Outcome::Forward | Outcome::Answer | Outcome::Drop => XDP_DROP,
    }
}

#[inline]
fn decide(packet: &mut XdpPacket) -> Verdict {
    let tunnelled = match tunnelled(packet) {
        Ok(tunnelled) => tunnelled,
        Err(reason) => return Verdict::pass(reason),
    };
    if !contains(&DECAP_ADDRESSES, &tunnelled.outer) || !contains(&DECAP_VIPS, &tunnelled.inner) {
        return Verdict::pass(Reason::NotOurTunnel);
    }
    match decapsulate(packet, &tunnelled) {
        Ok(()) => Verdict::pass(Reason::Decapsulated),
        Err(reason) => Verdict::drop(reason),
    }
}

#[inline]
fn contains(map: &HashMap<Address, u32>, address: &Address) -> bool {
    map.get_ptr(address).is_some()
}

#[inline]
fn count(verdict: Verdict, bytes: u64) {
    let Some(count) = DECAP_COUNTERS.get_ptr_mut(u32::from(verdict.index())) else { return };
    // SAFETY: the element is this CPU's own.
    let count = unsafe { &mut *count };
    count.packets += 1;
    count.bytes += bytes;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
