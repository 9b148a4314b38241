//! What the stages know of one packet: read by each, written by few.

use lb_common::packet::{PacketBytes as _, Parsed};
use lb_common::server::ServerRef;
use lb_common::verdict::{Reason, Verdict};
use lb_ebpf::xdp_packet::XdpPacket;

/// One packet on its way through the stages. Plain data: it is passed by pointer to functions of their own.
#[repr(C)]
pub(crate) struct Work {
    /// Its headers.
    pub(crate) parsed: Parsed,
    /// What becomes of it.
    pub(crate) verdict: Verdict,
    /// Service id, or 0.
    pub(crate) service: u32,
    /// The server, or none.
    pub(crate) server: ServerRef,
    /// Length of the frame as it came in.
    pub(crate) bytes: u32,
    /// Interface it came in by.
    pub(crate) ifindex: u32,
    /// Largest packet on the way to the server, when this one is larger.
    pub(crate) limit: u16,
    /// Whether it was given a server anew.
    pub(crate) opened: bool,
    /// Whether it is an answer of a nat server.
    pub(crate) reply: bool,
    /// Whether its connection could not be remembered.
    pub(crate) not_remembered: bool,
}

impl Work {
    /// The work that a frame makes, before anything of it was read.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a frame is shorter than 4 GB")]
    pub(crate) fn new(packet: &XdpPacket) -> Self {
        Self {
            parsed: Parsed::default(),
            verdict: Verdict::pass(Reason::NotAService),
            service: 0,
            server: ServerRef::NONE,
            bytes: packet.frame_len() as u32,
            ifindex: packet.ingress_ifindex(),
            limit: 0,
            opened: false,
            reply: false,
            not_remembered: false,
        }
    }
}
