//! When and where a packet came in.

use crate::maps;
use lb_common::packet::PacketBytes as _;
use lb_common::server::mac_word;
use lb_common::wire::ethernet::EthernetHeader;
use lb_ebpf::xdp_packet::XdpPacket;

/// What a nat connection remembers of the client's side, and the time.
pub(crate) struct Arrival {
    /// Coarse monotonic clock in milliseconds, modulo 2^32.
    pub(crate) now: u32,
    /// MAC address that the frame came from, as a word.
    pub(crate) mac: u64,
}

impl Arrival {
    /// The arrival of `packet`, now.
    #[inline]
    pub(crate) fn new(packet: &XdpPacket) -> Self {
        let mac = packet.load::<EthernetHeader>(0).map_or(0, |ethernet| mac_word(ethernet.source));
        Self { now: maps::now(), mac }
    }
}
