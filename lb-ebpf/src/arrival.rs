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
    /// Device that it came in by.
    pub(crate) device: u8,
}

impl Arrival {
    /// The arrival of `packet` by interface `ifindex`; `None` if the frame is for another machine.
    ///
    /// A switch floods what it has not learnt, and an interface in promiscuous mode shows it to the program: it must
    /// not be forwarded twice.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "out of line, 6.18 says `R1 invalid mem access 'scalar'` of the context"
    )]
    pub(crate) fn new(packet: &XdpPacket, ifindex: u32) -> Option<Self> {
        let ethernet: &EthernetHeader = packet.load(0)?;
        let (mac, destination) = (mac_word(ethernet.source), mac_word(ethernet.destination));
        let device = maps::device_of(ifindex)?;
        let interface = maps::interface(u16::from(device))?;
        (mac_word(interface.mac) == destination).then(|| Self { now: maps::now(), mac, device })
    }
}
