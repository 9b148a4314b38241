//! Refusals: a reset or an ICMP error while the allowance lasts, else a drop.

use crate::maps;
use crate::work::Work;
use lb_common::answer::{Answer, choose, write};
use lb_common::forward::set_frame_addresses;
use lb_common::service::{FLAG_SILENT, View};
use lb_common::verdict::Verdict;
use lb_ebpf::xdp_packet::XdpPacket;

/// Turns the packet into the answer that fits, or drops it.
#[inline]
pub(crate) fn refuse(packet: &mut XdpPacket, work: &mut Work, view: &View) -> Verdict {
    let now = work.now();
    let reason = work.verdict.reason;
    let silent = view.flags & FLAG_SILENT != 0;
    match choose(&work.parsed, reason, silent, work.limit) {
        Some(answer) if maps::may_answer(now) && turn(packet, work, answer).is_some() => {
            Verdict::answer(reason)
        }
        _ => Verdict::drop(reason),
    }
}

/// Writes the answer, from the interface that the packet came in by to the machine that it came from.
#[inline]
fn turn(packet: &mut XdpPacket, work: &Work, answer: Answer) -> Option<()> {
    write(packet, &work.parsed, answer)?;
    let interface = maps::interface(u16::from(work.device))?;
    set_frame_addresses(packet, interface.mac_word(), work.mac)
}
