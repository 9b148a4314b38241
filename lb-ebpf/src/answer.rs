//! Refusals: a reset or an ICMP error while the allowance lasts, else a drop.

use crate::maps;
use crate::work::{Terms, Work};
use lb_common::answer::{Answer, choose, write};
use lb_common::forward::set_frame_addresses;
use lb_common::packet::PacketBytes as _;
use lb_common::server::mac_word;
use lb_common::service::FLAG_SILENT;
use lb_common::verdict::Verdict;
use lb_common::wire::ethernet::EthernetHeader;
use lb_ebpf::xdp_packet::XdpPacket;

/// Turns the packet into the answer that fits, or drops it.
#[inline]
pub(crate) fn refuse(packet: &mut XdpPacket, work: &mut Work, (view, settings): Terms<'_>) -> Verdict {
    let now = work.now();
    let reason = work.verdict.reason;
    let silent = view.flags & FLAG_SILENT != 0;
    let may_answer = || maps::may_answer(now, settings.answers_per_second);
    match choose(&work.parsed, reason, silent, work.limit) {
        Some(answer) if may_answer() && turn(packet, work, answer).is_some() => Verdict::answer(reason),
        _ => Verdict::drop(reason),
    }
}

/// Writes the answer, from the MAC address that the packet came to, to the one that it came from.
#[inline]
fn turn(packet: &mut XdpPacket, work: &Work, answer: Answer) -> Option<()> {
    let ethernet: &EthernetHeader = packet.load(0)?;
    let here = mac_word(ethernet.destination);
    write(packet, &work.parsed, answer)?;
    set_frame_addresses(packet, here, work.mac)
}
