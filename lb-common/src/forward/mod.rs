//! Forwarding methods, and the steps that all of them share: `dr` needs no other.

pub mod ipip;
pub mod nat;

use crate::packet::{Family, IP_OFFSET, PacketBytes, Parsed};
use crate::server::{Method, Server, mac_of};
use crate::verdict::Reason;
use crate::wire::ethernet::EthernetHeader;
use crate::wire::ipv4::Ipv4Header;
use crate::wire::ipv6::Ipv6Header;
use zerocopy::network_endian::U16;

impl Method {
    /// Why a packet that went out by this method was counted.
    #[inline]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Dr => Reason::ForwardedDr,
            Self::Nat => Reason::ForwardedNat,
            Self::Ipip => Reason::ForwardedIpip,
        }
    }
}

/// Bytes that `method` adds to a packet on its way to `server`.
#[inline]
pub fn overhead(method: Method, server: &Server) -> u16 {
    match method {
        Method::Dr | Method::Nat => 0,
        Method::Ipip if server.address.is_v4() => 20,
        Method::Ipip => 40,
    }
}

/// The largest packet that reaches `server` by `method`, in bytes; `None` if `parsed` is not larger.
///
/// An MTU of 0 is not known: then only the 16 bits of a length field limit it.
#[inline]
pub fn too_big(parsed: &Parsed, method: Method, server: &Server) -> Option<u16> {
    let overhead = overhead(method, server);
    let way = if server.mtu == 0 { u16::MAX } else { server.mtu };
    if parsed.ip_len + u32::from(overhead) <= u32::from(way) {
        return None;
    }
    Some(way.saturating_sub(overhead))
}

/// Takes one from TTL or hop limit, which is above 1.
#[inline]
pub fn decrement_ttl<P: PacketBytes + ?Sized>(packet: &mut P, family: Family) -> Option<()> {
    match family {
        Family::V4 => {
            let ip: &mut Ipv4Header = packet.load_mut(IP_OFFSET)?;
            ip.hop();
        }
        Family::V6 => {
            let ip: &mut Ipv6Header = packet.load_mut(IP_OFFSET)?;
            ip.hop();
        }
    }
    Some(())
}

/// Writes the MAC addresses, as words, of the next stretch of the way.
#[inline]
pub fn set_frame_addresses<P: PacketBytes + ?Sized>(
    packet: &mut P,
    source: u64,
    destination: u64,
) -> Option<()> {
    let ethernet: &mut EthernetHeader = packet.load_mut(0)?;
    (ethernet.destination, ethernet.source) = (mac_of(destination), mac_of(source));
    Some(())
}

/// Says in the frame's header what follows it.
#[inline]
pub(crate) fn set_ether_type<P: PacketBytes + ?Sized>(packet: &mut P, ether_type: u16) -> Option<()> {
    let ethernet: &mut EthernetHeader = packet.load_mut(0)?;
    ethernet.ether_type = U16::new(ether_type);
    Some(())
}
