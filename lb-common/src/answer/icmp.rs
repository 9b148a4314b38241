//! ICMP errors (RFC 792, RFC 1191) and `ICMPv6` errors (RFC 4443), from the VIP.
//!
//! They quote the IP header and the first eight bytes behind it. That is all that RFC 792 asks; RFC 4443 would have
//! more, but every receiver finds the flow in eight bytes, and a constant length needs no loop over the packet.

use super::{Answer, set_frame_len, write_headers};
use crate::packet::{Family, IP_OFFSET, PacketResize, Parsed};
use crate::wire::checksum::Sum;
use crate::wire::icmp::{ICMP, ICMPV6, IcmpHeader};
use zerocopy::network_endian::U16;

/// Bytes that are quoted of an IPv4 packet: its header, and eight.
const QUOTE_V4: usize = 20 + 8;
/// Bytes that are quoted of an IPv6 packet beside those.
const MORE_V6: usize = 20;
/// Length of the error behind its IP header.
const LEN_V4: u16 = 8 + 28;
const LEN_V6: u16 = LEN_V4 + 20;

/// Turns a packet into the error that quotes it.
#[inline(never)]
pub(super) fn write<P: PacketResize + ?Sized>(packet: &mut P, parsed: &Parsed, answer: Answer) -> Option<()> {
    let quote: &[u8; QUOTE_V4] = packet.load(IP_OFFSET)?;
    let quoted = Sum::NONE.and(quote);
    let (icmp, protocol, len, sum) = match parsed.family {
        Family::V4 => (header_v4(answer), ICMP, LEN_V4, quoted),
        Family::V6 => {
            let more: &[u8; MORE_V6] = packet.load(IP_OFFSET + QUOTE_V4)?;
            let sum = quoted.and(more).add_pseudo_header(&parsed.destination, &parsed.source, ICMPV6, LEN_V6);
            (header_v6(answer), ICMPV6, LEN_V6, sum)
        }
    };
    let icmp = icmp.with_checksum(sum);
    let offset = parsed.family.l4_offset();
    packet.grow_head(i32::try_from(parsed.family.header_len() + size_of::<IcmpHeader>()).ok()?)?;
    set_frame_len(packet, offset + usize::from(len))?;
    write_headers(packet, parsed, protocol, len)?;
    *packet.load_mut(offset)? = icmp;
    Some(())
}

const fn header(kind: u8, code: u8, mtu: u16) -> IcmpHeader {
    IcmpHeader { kind, code, checksum: U16::ZERO, unused: U16::ZERO, mtu: U16::new(mtu) }
}

const fn header_v4(answer: Answer) -> IcmpHeader {
    match answer {
        Answer::TimeExceeded => header(11, 0, 0),
        Answer::TooBig(mtu) => header(3, 4, mtu),
        Answer::Unreachable | Answer::Reset => header(3, 3, 0),
    }
}

const fn header_v6(answer: Answer) -> IcmpHeader {
    match answer {
        Answer::TimeExceeded => header(3, 0, 0),
        Answer::TooBig(mtu) => header(2, 0, mtu),
        Answer::Unreachable | Answer::Reset => header(1, 4, 0),
    }
}
