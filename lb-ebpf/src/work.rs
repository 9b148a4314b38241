//! What the stages know of one packet: read by each, written by few.

use core::mem::MaybeUninit;
use lb_common::counters::Settings;
use lb_common::packet::{Family, PacketBytes as _, Parsed};
use lb_common::server::{ServerRef, mac_word};
use lb_common::service::View;
use lb_common::verdict::{Outcome, Reason, Verdict};
use lb_common::wire::ethernet::EthernetHeader;
use lb_ebpf::xdp_packet::XdpPacket;
use lb_ebpf::zeroed::zeroed;

use crate::maps;

/// What holds for a packet of a service: the service's view, and the settings.
pub(crate) type Terms<'a> = (&'a View, &'a Settings);

/// One packet on its way through the stages. Plain data: it is passed by pointer to functions of their own.
///
/// It lies in the frame of the entry point, because the stack holds 512 bytes for the deepest chain of calls.
#[repr(C)]
pub(crate) struct Work {
    /// Its headers.
    pub(crate) parsed: Parsed,
    /// MAC address that it came from, as a word, from [`Work::arrive`] on.
    pub(crate) mac: u64,
    /// Coarse monotonic clock in milliseconds, modulo 2^32; 0 until [`Work::now`] was asked.
    now: u32,
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
    /// Device it came in by, from [`Work::arrive`] on.
    pub(crate) device: u8,
    /// Whether it was given a server anew.
    pub(crate) opened: bool,
    /// Whether it is an answer of a nat server.
    pub(crate) reply: bool,
    /// Whether the agent is told of it.
    pub(crate) sampled: bool,
    /// Whether its connection could not be remembered.
    pub(crate) not_remembered: bool,
}

impl Work {
    /// The work that a frame makes, before anything of it was read, in `place`: a returned one is copied, and the
    /// stack does not hold two.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the verifier follows the context only in registers")]
    #[expect(clippy::cast_possible_truncation, reason = "a frame is shorter than 4 GB")]
    pub(crate) fn begin<'a>(place: &'a mut MaybeUninit<Self>, packet: &XdpPacket) -> &'a mut Self {
        // SAFETY: zeros are a valid value of every field, as asserted below.
        let work = unsafe { zeroed(place) };
        work.bytes = packet.frame_len() as u32;
        work.ifindex = packet.ingress_ifindex();
        work
    }

    /// Notes where the packet came in; leaves with the verdict if its way ends here.
    ///
    /// A frame for another machine passes: a switch floods what it has not learnt, an interface in promiscuous mode
    /// shows it to the program, and it must not be forwarded twice. A packet that came in by an interface that the
    /// tables do not have must not reach the host's own stack, which would answer it with a reset.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "out of line, 6.18 says `R1 invalid mem access 'scalar'` of the context"
    )]
    pub(crate) fn arrive(&mut self, packet: &XdpPacket) -> Result<(), Verdict> {
        let unknown = Verdict::drop(Reason::NoDevice);
        let (device, interface) = maps::arrival(self.ifindex).ok_or(unknown)?;
        let ethernet: &EthernetHeader = packet.load(0).ok_or(Verdict::pass(Reason::Truncated))?;
        if interface.mac_word() != mac_word(ethernet.destination) {
            return Err(Verdict::pass(Reason::OtherMac));
        }
        (self.mac, self.device) = (mac_word(ethernet.source), device);
        if self.parsed.ttl <= 1 {
            return Err(Verdict::drop(Reason::TtlExpired));
        }
        Ok(())
    }

    /// The time of the packet: the clock is read when it is asked for, and once.
    #[inline]
    pub(crate) fn now(&mut self) -> u32 {
        if self.now == 0 {
            self.now = maps::now();
        }
        self.now
    }
}

const _: () =
    assert!(Family::V4 as u8 == 0 && Outcome::Pass as u8 == 0 && Reason::NotIp as u8 == 0, "zeros are valid");
