//! ICMP errors (RFC 792, RFC 1191) and `ICMPv6` errors (RFC 4443), from the VIP.
//!
//! They quote the IP header and the first eight bytes behind it. That is all that RFC 792 asks; RFC 4443 would have
//! more, but every receiver finds the flow in eight bytes, and a constant length needs no loop over the packet.

use super::{Answer, set_frame_len, write_headers};
use crate::packet::{Family, IP_OFFSET, PacketResize, Parsed};
use crate::wire::checksum::Sum;
use crate::wire::ethernet::EthernetHeader;
use crate::wire::icmp::{ICMP, ICMPV6, IcmpHeader};
use zerocopy::network_endian::U16;

const HEADER: usize = size_of::<IcmpHeader>();
const QUOTED_TRANSPORT: usize = 8;
const QUOTE_V4: usize = 20 + QUOTED_TRANSPORT;
const QUOTE_V6: usize = 40 + QUOTED_TRANSPORT;
const LEN_V6: u16 = 8 + 40 + 8;

/// Turns a packet into the error that quotes it.
#[inline]
pub(super) fn write<P: PacketResize + ?Sized>(packet: &mut P, parsed: &Parsed, answer: Answer) -> Option<()> {
    match parsed.family {
        Family::V4 => error::<P, QUOTE_V4>(packet, parsed, header_v4(answer), ICMP, Sum::NONE),
        Family::V6 => {
            let pseudo = Sum::NONE.add_pseudo_header(&parsed.destination, &parsed.source, ICMPV6, LEN_V6);
            error::<P, QUOTE_V6>(packet, parsed, header_v6(answer), ICMPV6, pseudo)
        }
    }
}

#[inline(never)]
fn error<P: PacketResize + ?Sized, const QUOTE: usize>(
    packet: &mut P,
    parsed: &Parsed,
    mut icmp: IcmpHeader,
    protocol: u8,
    pseudo: Sum,
) -> Option<()> {
    let ethernet: EthernetHeader = *packet.load(0)?;
    let quote: &[u8; QUOTE] = packet.load(IP_OFFSET)?;
    icmp.checksum = quote.as_chunks().0.iter().fold(pseudo.and(&icmp), add_four).finish();
    let added = parsed.family.header_len() + HEADER;
    packet.grow_head(i32::try_from(added).ok()?)?;
    set_frame_len(packet, IP_OFFSET + added + QUOTE)?;
    write_headers(packet, parsed, ethernet, protocol, u16::try_from(HEADER + QUOTE).ok()?)?;
    *packet.load_mut(parsed.family.l4_offset())? = icmp;
    Some(())
}

/// Adds four bytes. Out of line: in line the compiler loads all bytes of the quote at once, onto the program's stack.
#[inline(never)]
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "by value the caller loads it, which is what this avoids"
)]
fn add_four(sum: Sum, four: &[u8; 4]) -> Sum {
    sum.and(four)
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
