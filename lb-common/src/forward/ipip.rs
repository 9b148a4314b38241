//! IP-in-IP tunnels (RFC 2003, RFC 2473, RFC 4213): an outer header in front, and away with it at the server.

use super::set_ether_type;
use crate::address::Address;
use crate::packet::{Family, IP_OFFSET, PacketBytes, PacketResize, Parsed};
use crate::server::Server;
use crate::verdict::Reason;
use crate::wire::checksum::ChecksumDelta;
use crate::wire::ecn;
use crate::wire::ethernet::{self, EthernetHeader};
use crate::wire::ipv4::{DONT_FRAGMENT, IPIP, Ipv4Header};
use crate::wire::ipv6::{IPV6_IN_IP, Ipv6Header};
use zerocopy::network_endian::U16;

const OUTER_TTL: u8 = 64;

/// Source of the outer header for a flow with this hash.
///
/// With `source_bits` each flow has its own, so that receive queues and equal-cost paths see flows where they would see
/// one pair of addresses.
#[inline]
pub fn outer_source(server: &Server, hash: u32) -> Address {
    let mask = 1_u64.unbounded_shl(u32::from(server.source_bits)).wrapping_sub(1) & u64::from(u32::MAX);
    server.source.with_low_bits(mask, u64::from(hash))
}

#[inline]
fn flow_hash(parsed: &Parsed) -> u32 {
    parsed.client_flow(0).hash(&parsed.destination, true)
}

/// What the outer header takes from the inner one.
struct Inner {
    source: Address,
    tos: u8,
    id: U16,
    protocol: u8,
    dont_fragment: bool,
    len: u16,
}

/// Puts an outer header from `server.source` to `server.address` in front.
///
/// DSCP and ECN are copied (RFC 6040, normal mode). The outer don't-fragment bit is the inner one, and set for IPv6
/// inside. The MAC addresses are left to [`super::set_frame_addresses`]. With the bit set the outer identification is 0 (RFC 6864, section 4.1), else the inner one.
///
/// # Errors
///
/// [`Reason::NoHeadroom`] if the driver left no room for the header.
#[inline]
pub fn encapsulate<P: PacketResize + ?Sized>(
    packet: &mut P,
    parsed: &Parsed,
    server: &Server,
) -> Result<(), Reason> {
    let inner = inner(packet, parsed, server).ok_or(Reason::Truncated)?;
    if server.address.is_v4() {
        packet.grow_head(20).ok_or(Reason::NoHeadroom)?;
        write_v4(packet, &inner, server)
    } else {
        packet.grow_head(40).ok_or(Reason::NoHeadroom)?;
        write_v6(packet, &inner, server)
    }
    .ok_or(Reason::Truncated)
}

#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "parse takes the length from a 16-bit field; IPv6 adds 40"
)]
fn inner<P: PacketBytes + ?Sized>(packet: &P, parsed: &Parsed, server: &Server) -> Option<Inner> {
    let len = parsed.ip_len as u16;
    let source =
        if server.source_bits == 0 { server.source } else { outer_source(server, flow_hash(parsed)) };
    Some(match parsed.family {
        Family::V4 => {
            let ip: &Ipv4Header = packet.load(IP_OFFSET)?;
            Inner { source, tos: ip.tos, id: ip.id, protocol: IPIP, dont_fragment: ip.dont_fragment(), len }
        }
        Family::V6 => {
            let ip: &Ipv6Header = packet.load(IP_OFFSET)?;
            Inner {
                source,
                tos: ip.traffic_class(),
                id: U16::ZERO,
                protocol: IPV6_IN_IP,
                dont_fragment: true,
                len,
            }
        }
    })
}

#[inline]
fn write_v4<P: PacketBytes + ?Sized>(packet: &mut P, inner: &Inner, server: &Server) -> Option<()> {
    set_ether_type(packet, ethernet::IPV4)?;
    let ip: &mut Ipv4Header = packet.load_mut(IP_OFFSET)?;
    *ip = Ipv4Header {
        version_ihl: Ipv4Header::WITHOUT_OPTIONS,
        tos: inner.tos,
        total_len: U16::new(inner.len.wrapping_add(20)),
        id: if inner.dont_fragment { U16::ZERO } else { inner.id },
        fragment: U16::new(if inner.dont_fragment { DONT_FRAGMENT } else { 0 }),
        ttl: OUTER_TTL,
        protocol: inner.protocol,
        checksum: U16::ZERO,
        source: inner.source.v4(),
        destination: server.address.v4(),
    }
    .with_checksum();
    Some(())
}

#[inline]
fn write_v6<P: PacketBytes + ?Sized>(packet: &mut P, inner: &Inner, server: &Server) -> Option<()> {
    set_ether_type(packet, ethernet::IPV6)?;
    let ip: &mut Ipv6Header = packet.load_mut(IP_OFFSET)?;
    *ip = Ipv6Header {
        version_class_label: Ipv6Header::first_word(inner.tos),
        payload_len: U16::new(inner.len),
        next_header: inner.protocol,
        hop_limit: OUTER_TTL,
        source: inner.source.octets(),
        destination: server.address.octets(),
    };
    Some(())
}

/// An IP-in-IP packet, before it is known whether it is for this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnelled {
    /// Outer destination.
    pub outer: Address,
    /// Inner destination.
    pub inner: Address,
    /// Family of the inner packet.
    pub inner_family: Family,
    outer_len: u8,
    outer_tos: u8,
}

/// Reads the outer and the inner header; leaves with the reason to pass the packet if it is no tunnel of ours.
///
/// # Errors
///
/// The reason, of kind [`crate::verdict::Kind::Pass`].
#[inline]
pub fn tunnelled<P: PacketBytes + ?Sized>(packet: &P) -> Result<Tunnelled, Reason> {
    let ethernet: &EthernetHeader = packet.load(0).ok_or(Reason::Truncated)?;
    let (outer, outer_len, outer_tos, protocol) = match ethernet.ether_type.get() {
        ethernet::IPV4 => {
            let ip: &Ipv4Header = packet.load(IP_OFFSET).ok_or(Reason::Truncated)?;
            if ip.version_ihl != Ipv4Header::WITHOUT_OPTIONS || ip.is_fragment() {
                return Err(Reason::NotOurTunnel);
            }
            (Address::from_v4(ip.destination), 20, ip.tos, ip.protocol)
        }
        ethernet::IPV6 => {
            let ip: &Ipv6Header = packet.load(IP_OFFSET).ok_or(Reason::Truncated)?;
            (Address::from_v6(ip.destination), 40, ip.traffic_class(), ip.next_header)
        }
        _ => return Err(Reason::NotIp),
    };
    let (inner, inner_family) = inner_destination(packet, IP_OFFSET + usize::from(outer_len), protocol)?;
    // An IPv6 address that maps an IPv4 one means that one in the tables, and nothing on the wire.
    if (outer.is_v4() && outer_len != 20) || (inner.is_v4() && inner_family == Family::V6) {
        return Err(Reason::NotOurTunnel);
    }
    Ok(Tunnelled { outer, inner, inner_family, outer_len, outer_tos })
}

#[inline]
fn inner_destination<P: PacketBytes + ?Sized>(
    packet: &P,
    offset: usize,
    protocol: u8,
) -> Result<(Address, Family), Reason> {
    match protocol {
        IPIP => {
            let ip: &Ipv4Header = packet.load(offset).ok_or(Reason::Truncated)?;
            if ip.version_ihl >> 4 != 4 {
                return Err(Reason::NotOurTunnel);
            }
            Ok((Address::from_v4(ip.destination), Family::V4))
        }
        IPV6_IN_IP => {
            let ip: &Ipv6Header = packet.load(offset).ok_or(Reason::Truncated)?;
            if ip.version() != 6 {
                return Err(Reason::NotOurTunnel);
            }
            Ok((Address::from_v6(ip.destination), Family::V6))
        }
        _ => Err(Reason::NotOurTunnel),
    }
}

/// Removes the outer header; congestion marks move inside (RFC 6040).
///
/// # Errors
///
/// [`Reason::EcnInvalid`] if the packet must be dropped.
#[inline]
pub fn decapsulate<P: PacketResize + ?Sized>(packet: &mut P, tunnelled: &Tunnelled) -> Result<(), Reason> {
    let offset = IP_OFFSET + usize::from(tunnelled.outer_len);
    match tunnelled.inner_family {
        Family::V4 => {
            let ip: &mut Ipv4Header = packet.load_mut(offset).ok_or(Reason::Truncated)?;
            let tos = ecn::decapsulated(tunnelled.outer_tos, ip.tos).ok_or(Reason::EcnInvalid)?;
            let [old, new] = [ip.tos, tos].map(|tos| U16::from_bytes([ip.version_ihl, tos]));
            ip.tos = tos;
            ip.checksum = ChecksumDelta::NONE.replace(old, new).apply(ip.checksum);
        }
        Family::V6 => {
            let ip: &mut Ipv6Header = packet.load_mut(offset).ok_or(Reason::Truncated)?;
            let class =
                ecn::decapsulated(tunnelled.outer_tos, ip.traffic_class()).ok_or(Reason::EcnInvalid)?;
            let word = ip.version_class_label.get() & !(0xff << 20) | u32::from(class) << 20;
            ip.version_class_label.set(word);
        }
    }
    remove_outer(packet, tunnelled)
}

#[inline]
fn remove_outer<P: PacketResize + ?Sized>(packet: &mut P, tunnelled: &Tunnelled) -> Result<(), Reason> {
    let mut ethernet: EthernetHeader = *packet.load(0).ok_or(Reason::Truncated)?;
    ethernet.ether_type = U16::new(match tunnelled.inner_family {
        Family::V4 => ethernet::IPV4,
        Family::V6 => ethernet::IPV6,
    });
    packet.grow_head(-i32::from(tunnelled.outer_len)).ok_or(Reason::NoHeadroom)?;
    *packet.load_mut(0).ok_or(Reason::Truncated)? = ethernet;
    Ok(())
}
