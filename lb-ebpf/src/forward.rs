//! The way out: the packet is rewritten for its server's method and given a device.

use crate::maps;
use crate::work::Work;
use lb_common::forward::nat::End;
use lb_common::forward::{dr, ipip, nat, set_frame_addresses, too_big};
use lb_common::packet::Parsed;
use lb_common::server::{Method, NextHop, Server, mac_of, mac_word};
use lb_common::verdict::{Reason, Verdict};
use lb_ebpf::xdp_packet::XdpPacket;
use zerocopy::network_endian::U16;

/// Forwards a client's packet to `server`.
///
/// Out of line, as is all that the stack of 512 bytes does not hold together.
#[inline(never)]
pub(crate) fn send(packet: &mut XdpPacket, work: &mut Work, server: &Server) -> Verdict {
    let parsed = &work.parsed;
    let Some(method) = Method::from_byte(server.method) else { return Verdict::drop(Reason::ServerRemoved) };
    if let Some(limit) = too_big(parsed, method, server) {
        work.limit = limit;
        return Verdict::drop(Reason::TooBig);
    }
    let exit = match Exit::find(work, server.next_hop) {
        Ok(exit) => exit,
        Err(reason) => return Verdict::drop(reason),
    };
    match rewrite(packet, parsed, method, server) {
        Ok(()) => exit.leave(packet, method.reason()),
        Err(reason) => Verdict::drop(reason),
    }
}

#[inline]
fn rewrite(packet: &mut XdpPacket, parsed: &Parsed, method: Method, server: &Server) -> Result<(), Reason> {
    match method {
        Method::Dr => dr::forward(packet, parsed).ok_or(Reason::Truncated),
        Method::Nat => {
            let port = if server.port == U16::ZERO { parsed.destination_port } else { server.port };
            nat::forward(packet, parsed, End::Destination, &server.address, port).ok_or(Reason::Truncated)
        }
        Method::Ipip => ipip::encapsulate(packet, parsed, server),
    }
}

/// A device, and the addresses of the frame that leaves by it.
pub(crate) struct Exit {
    source: u64,
    destination: u64,
    device: u16,
}

impl Exit {
    /// The way out to `next_hop`.
    #[inline]
    pub(crate) fn find(work: &Work, next_hop: NextHop) -> Result<Self, Reason> {
        if !next_hop.is_known() {
            return Err(Reason::NoNextHop);
        }
        let interface = maps::interface(next_hop.device).ok_or(Reason::NoNextHop)?;
        let device = if interface.ifindex == work.ifindex { 0 } else { next_hop.device };
        Ok(Self { source: mac_word(interface.mac), destination: mac_word(next_hop.mac), device })
    }

    /// Addresses the frame; the verdict sends it.
    #[inline]
    pub(crate) fn leave(&self, packet: &mut XdpPacket, reason: Reason) -> Verdict {
        match set_frame_addresses(packet, mac_of(self.source), mac_of(self.destination)) {
            Some(()) => Verdict::forward(reason, self.device),
            None => Verdict::drop(Reason::Truncated),
        }
    }
}
