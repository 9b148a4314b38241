//! Network address translation: one end of the flow is written anew.

use crate::address::Address;
use crate::flow::UDP;
use crate::packet::{Family, IP_OFFSET, PacketBytes, Parsed};
use crate::wire::checksum::ChecksumDelta;
use crate::wire::ipv4::Ipv4Header;
use crate::wire::ipv6::Ipv6Header;
use crate::wire::tcp::TcpHeader;
use crate::wire::udp::UdpHeader;
use core::mem::offset_of;
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
#[inline(never)]
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
    write_port(packet, parsed, end, port, delta.replace(old_port, port))
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
            // The word of TTL and protocol is 0x100 less.
            ip.ttl = ip.ttl.wrapping_sub(1);
            ip.checksum = delta.replace(U16::new(0x100), U16::ZERO).apply(ip.checksum);
            let place = match end {
                End::Destination => &mut ip.destination,
                End::Source => &mut ip.source,
            };
            *place = address.v4();
        }
        Family::V6 => {
            let ip: &mut Ipv6Header = packet.load_mut(IP_OFFSET)?;
            let place = match end {
                End::Destination => &mut ip.destination,
                End::Source => &mut ip.source,
            };
            *place = address.octets();
            ip.hop();
        }
    }
    Some(())
}

/// TCP and UDP have their ports at the same place, and their checksums not.
#[inline]
fn write_port<P: PacketBytes + ?Sized>(
    packet: &mut P,
    parsed: &Parsed,
    end: End,
    port: U16,
    delta: ChecksumDelta,
) -> Option<()> {
    let offset = parsed.family.l4_offset();
    let is_udp = parsed.protocol == UDP;
    let ports: &mut [U16; 2] = packet.load_mut(offset)?;
    let [source, destination] = ports;
    match end {
        End::Destination => *destination = port,
        End::Source => *source = port,
    }
    let place = if is_udp { offset_of!(UdpHeader, checksum) } else { offset_of!(TcpHeader, checksum) };
    let checksum: &mut U16 = packet.load_mut(offset + place)?;
    if is_udp && *checksum == U16::ZERO {
        return Some(());
    }
    let new = delta.apply(*checksum);
    *checksum = if is_udp && new == U16::ZERO { U16::new(u16::MAX) } else { new };
    Some(())
}
