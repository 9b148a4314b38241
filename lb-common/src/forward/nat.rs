//! Network address translation: one end of the flow is written anew.

use super::decrement_ttl;
use crate::address::Address;
use crate::flow::TCP;
use crate::packet::{Family, IP_OFFSET, PacketBytes, Parsed};
use crate::wire::checksum::ChecksumDelta;
use crate::wire::ipv4::Ipv4Header;
use crate::wire::ipv6::Ipv6Header;
use crate::wire::tcp::TcpHeader;
use crate::wire::udp::UdpHeader;
use zerocopy::network_endian::U16;

/// Which end is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Towards the server.
    Destination,
    /// Back to the client.
    Source,
}

/// Writes `address` and `port` into one end of the packet, with all checksums, and takes one from the TTL.
///
/// A UDP checksum of zero stays zero, and a computed one that comes out as zero is sent as all ones (RFC 768).
#[inline(always)]
#[expect(clippy::inline_always, reason = "one frame less on the program's stack of 512 bytes")]
pub fn forward<P: PacketBytes + ?Sized>(
    packet: &mut P,
    parsed: &Parsed,
    end: End,
    address: &Address,
    port: U16,
) -> Option<()> {
    let (old_address, old_port) = match end {
        End::Destination => (parsed.destination, parsed.destination_port),
        End::Source => (parsed.source, parsed.source_port),
    };
    let delta = ChecksumDelta::NONE.replace_address(&old_address, address);
    write_address(packet, parsed.family, end, address, delta)?;
    write_port(packet, parsed, end, port, delta.replace(old_port, port))?;
    decrement_ttl(packet, parsed.family)
}

#[inline]
fn write_address<P: PacketBytes + ?Sized>(
    packet: &mut P,
    family: Family,
    end: End,
    address: &Address,
    delta: ChecksumDelta,
) -> Option<()> {
    match family {
        Family::V4 => {
            let ip: &mut Ipv4Header = packet.load_mut(IP_OFFSET)?;
            match end {
                End::Destination => ip.destination = address.v4(),
                End::Source => ip.source = address.v4(),
            }
            ip.checksum = delta.apply(ip.checksum);
        }
        Family::V6 => {
            let ip: &mut Ipv6Header = packet.load_mut(IP_OFFSET)?;
            match end {
                End::Destination => ip.destination = address.octets(),
                End::Source => ip.source = address.octets(),
            }
        }
    }
    Some(())
}

#[inline]
fn write_port<P: PacketBytes + ?Sized>(
    packet: &mut P,
    parsed: &Parsed,
    end: End,
    port: U16,
    delta: ChecksumDelta,
) -> Option<()> {
    let offset = parsed.family.l4_offset();
    if parsed.protocol == TCP {
        let tcp: &mut TcpHeader = packet.load_mut(offset)?;
        match end {
            End::Destination => tcp.destination = port,
            End::Source => tcp.source = port,
        }
        tcp.checksum = delta.apply(tcp.checksum);
        return Some(());
    }
    let udp: &mut UdpHeader = packet.load_mut(offset)?;
    match end {
        End::Destination => udp.destination = port,
        End::Source => udp.source = port,
    }
    if udp.checksum != U16::ZERO {
        let checksum = delta.apply(udp.checksum);
        udp.checksum = if checksum == U16::ZERO { U16::new(u16::MAX) } else { checksum };
    }
    Some(())
}
