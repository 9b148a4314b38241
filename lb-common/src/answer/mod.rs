//! What a client gets that cannot be served: the packet itself, turned into a reset or an ICMP error.

pub mod icmp;
pub mod reset;

use crate::address::Address;
use crate::connection::TcpFlags;
use crate::flow::TCP;
use crate::forward::set_ether_type;
use crate::packet::{Family, IP_OFFSET, PacketBytes, PacketResize, Parsed};
use crate::verdict::Reason;
use crate::wire::ethernet;
use crate::wire::ipv4::{DONT_FRAGMENT, Ipv4Header};
use crate::wire::ipv6::Ipv6Header;
use zerocopy::network_endian::U16;

const TTL: u8 = 64;

/// The answer that fits a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A TCP reset.
    Reset,
    /// Port unreachable.
    Unreachable,
    /// Time or hop limit exceeded in transit.
    TimeExceeded,
    /// Fragmentation needed, or packet too big, with the largest packet that passes.
    TooBig(u16),
}

/// The answer to `parsed` when it is refused for `reason`; `limit` is the largest packet on the way.
///
/// A next hop that is not known at the moment may be known again at the next packet: a connection survives the gap. So
/// does one whose entry is being copied.
/// A `silent` service answers only what every router does. A reset is never answered (RFC 9293, section 3.10.7.1).
#[inline]
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest differ by protocol, not by reason")]
pub fn choose(parsed: &Parsed, reason: Reason, silent: bool, limit: u16) -> Option<Answer> {
    if !is_one_host(&parsed.source) || parsed.source == parsed.destination {
        return None;
    }
    match reason {
        Reason::TtlExpired => Some(Answer::TimeExceeded),
        Reason::TooBig => Some(Answer::TooBig(limit)),
        Reason::NoHeadroom | Reason::NoNextHop | Reason::NoDevice | Reason::Migrating => None,
        _ if silent => None,
        _ if parsed.protocol != TCP => Some(Answer::Unreachable),
        _ if parsed.flags.has(TcpFlags::RST) => None,
        _ => Some(Answer::Reset),
    }
}

/// Whether an address is one host's: nobody else is answered (RFC 1122, section 3.2.2; RFC 4443, section 2.4).
fn is_one_host(address: &Address) -> bool {
    if address.is_v4() {
        let [first, ..] = address.v4();
        return !matches!(first, 0 | 127 | 224..=255);
    }
    let [first, ..] = address.octets();
    first != 0xff && ![Address::UNSPECIFIED, LOOPBACK].contains(address)
}

const LOOPBACK: Address = Address::from_v6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// Turns the packet into the answer, but for the MAC addresses; `None` leaves it in pieces, to be dropped.
#[inline]
pub fn write<P: PacketResize + ?Sized>(packet: &mut P, parsed: &Parsed, answer: Answer) -> Option<()> {
    match answer {
        Answer::Reset => reset::write(packet, parsed),
        Answer::Unreachable | Answer::TimeExceeded | Answer::TooBig(_) => icmp::write(packet, parsed, answer),
    }
}

/// Writes the IP header of an answer with `len` bytes of `protocol` behind it, and what says so in the Ethernet header.
#[inline(never)]
fn write_headers<P: PacketBytes + ?Sized>(
    packet: &mut P,
    parsed: &Parsed,
    protocol: u8,
    len: u16,
) -> Option<()> {
    match parsed.family {
        Family::V4 => {
            set_ether_type(packet, ethernet::IPV4)?;
            let ip: &mut Ipv4Header = packet.load_mut(IP_OFFSET)?;
            *ip = Ipv4Header {
                version_ihl: Ipv4Header::WITHOUT_OPTIONS,
                tos: 0,
                total_len: U16::new(len + 20),
                id: U16::ZERO,
                fragment: U16::new(DONT_FRAGMENT),
                ttl: TTL,
                protocol,
                checksum: U16::ZERO,
                source: parsed.destination.v4(),
                destination: parsed.source.v4(),
            }
            .with_checksum();
        }
        Family::V6 => {
            set_ether_type(packet, ethernet::IPV6)?;
            let ip: &mut Ipv6Header = packet.load_mut(IP_OFFSET)?;
            *ip = Ipv6Header {
                version_class_label: Ipv6Header::first_word(0),
                payload_len: U16::new(len),
                next_header: protocol,
                hop_limit: TTL,
                source: parsed.destination.octets(),
                destination: parsed.source.octets(),
            };
        }
    }
    Some(())
}

/// Cuts or extends the frame to `len` bytes.
#[inline]
fn set_frame_len<P: PacketResize + ?Sized>(packet: &mut P, len: usize) -> Option<()> {
    let change = i32::try_from(len).ok()? - i32::try_from(packet.frame_len()).ok()?;
    if change == 0 { Some(()) } else { packet.grow_tail(change) }
}
