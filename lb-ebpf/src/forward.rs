//! The way out: the packet is rewritten for its server's method and given a device.

use crate::maps;
use crate::work::Work;
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use lb_common::forward::nat::End;
use lb_common::forward::{decrement_ttl, ipip, nat, set_frame_addresses, too_big};
use lb_common::packet::Parsed;
use lb_common::server::{Interface, Method, NextHop, Server};
use lb_common::verdict::{Outcome, Reason, Verdict};
use lb_ebpf::xdp_packet::XdpPacket;
use zerocopy::network_endian::U16;

/// Forwards a client's packet to `server`.
#[inline]
pub(crate) fn send(packet: &mut XdpPacket, work: &mut Work, server: &Server) -> Verdict {
    let parsed = &work.parsed;
    let Some(method) = Method::from_byte(server.method) else { return Verdict::drop(Reason::ServerRemoved) };
    if let Some(limit) = too_big(parsed, method, server) {
        work.limit = limit;
        return Verdict::drop(Reason::TooBig);
    }
    let exit = match Exit::find(maps::next_hop(server)) {
        Ok(exit) => exit,
        Err(reason) => return Verdict::drop(reason),
    };
    match rewrite(packet, parsed, method, server) {
        Ok(()) => exit.leave(packet, work.ifindex, method.reason()),
        Err(reason) => Verdict::drop(reason),
    }
}

#[inline]
fn rewrite(packet: &mut XdpPacket, parsed: &Parsed, method: Method, server: &Server) -> Result<(), Reason> {
    if method == Method::Nat {
        let port = if server.port == U16::ZERO { parsed.destination_port } else { server.port };
        return nat::forward(packet, parsed, End::Destination, &server.address, port)
            .ok_or(Reason::Truncated);
    }
    decrement_ttl(packet, parsed.family).ok_or(Reason::Truncated)?;
    if method == Method::Ipip { ipip::encapsulate(packet, parsed, server) } else { Ok(()) }
}

/// A device, and the machine behind it.
pub(crate) struct Exit {
    interface: &'static Interface,
    next_hop: NextHop,
}

impl Exit {
    /// The way out to `next_hop`.
    #[inline]
    pub(crate) fn find(next_hop: NextHop) -> Result<Self, Reason> {
        if !next_hop.is_known() {
            return Err(Reason::NoNextHop);
        }
        let interface = maps::interface(next_hop.device).ok_or(Reason::NoDevice)?;
        Ok(Self { interface, next_hop })
    }

    /// Whether a packet is larger than the device carries; an MTU of 0 is not known.
    #[inline]
    pub(crate) fn is_too_narrow(&self, parsed: &Parsed) -> bool {
        self.interface.mtu != 0 && parsed.ip_len > u32::from(self.interface.mtu)
    }

    /// Addresses the frame that came in by interface `ifindex`; the verdict sends it.
    #[inline]
    pub(crate) fn leave(&self, packet: &mut XdpPacket, ifindex: u32, reason: Reason) -> Verdict {
        let device = if self.interface.ifindex == ifindex { 0 } else { self.next_hop.device };
        match set_frame_addresses(packet, self.interface.mac_word(), self.next_hop.mac_word()) {
            Some(()) => Verdict::forward(reason, device),
            None => Verdict::drop(Reason::Truncated),
        }
    }
}

/// The XDP action of the verdict, which becomes a drop if the device is not there: it is not counted as forwarded.
#[inline]
pub(crate) fn action(work: &mut Work) -> u32 {
    match work.verdict.outcome {
        Outcome::Pass => XDP_PASS,
        Outcome::Drop => XDP_DROP,
        Outcome::Answer => XDP_TX,
        Outcome::Forward if work.verdict.device == 0 => XDP_TX,
        Outcome::Forward => maps::redirect(work.verdict.device).unwrap_or_else(|| {
            work.verdict = Verdict::drop(Reason::NoDevice);
            XDP_DROP
        }),
    }
}
