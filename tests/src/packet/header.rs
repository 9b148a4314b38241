//! The headers that a frame is made of, as values.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{IPV4, IPV6, SYN};

/// A MAC address.
pub type Mac = [u8; 6];

/// Number of TCP in an IP header.
pub(super) const TCP: u8 = 6;
/// Number of UDP in an IP header.
pub(super) const UDP: u8 = 17;
/// Number of IPv4 in an IP header.
pub(super) const IPIP: u8 = 4;
/// Number of IPv6 in an IP header.
pub(super) const IPV6_IN_IP: u8 = 41;
/// What an IP header says of a payload that has no number of its own.
const NO_NEXT_HEADER: u8 = 59;

#[derive(Clone, Debug)]
pub(super) enum Header {
    V4(Ipv4),
    V6(Ipv6),
    Tcp(Tcp),
    Udp(Udp),
}

impl Header {
    pub(super) fn ether_type(&self) -> u16 {
        if matches!(self, Self::V4(_)) { IPV4 } else { IPV6 }
    }

    /// The number by which an IP header announces `header`.
    pub(super) fn protocol(header: Option<&Self>) -> u8 {
        match header {
            Some(Self::V4(_)) => IPIP,
            Some(Self::V6(_)) => IPV6_IN_IP,
            Some(Self::Tcp(_)) => TCP,
            Some(Self::Udp(_)) => UDP,
            None => NO_NEXT_HEADER,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Ipv4 {
    pub(super) version: u8,
    pub(super) tos: u8,
    pub(super) len: Option<u16>,
    pub(super) id: u16,
    pub(super) fragment: u16,
    pub(super) ttl: u8,
    pub(super) protocol: Option<u8>,
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    pub(super) options: Vec<u8>,
}

impl Ipv4 {
    pub(super) fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        let (version, tos, len, id, fragment, ttl, protocol) = (4, 0, None, 1, 0, 64, None);
        Self { version, tos, len, id, fragment, ttl, protocol, source, destination, options: Vec::new() }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Ipv6 {
    pub(super) version: u8,
    pub(super) class: u8,
    pub(super) len: Option<u16>,
    pub(super) hop_limit: u8,
    pub(super) protocol: Option<u8>,
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    pub(super) extension: Option<(u8, Vec<u8>)>,
}

impl Ipv6 {
    pub(super) fn new(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self {
            version: 6,
            class: 0,
            len: None,
            hop_limit: 64,
            protocol: None,
            source,
            destination,
            extension: None,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Tcp {
    pub(super) source: u16,
    pub(super) destination: u16,
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
    pub(super) options: Vec<u8>,
}

impl Tcp {
    pub(super) fn new(source: u16, destination: u16) -> Self {
        let (sequence, acknowledgement, window) = (0, 0, 8192);
        Self { source, destination, sequence, acknowledgement, flags: SYN, window, options: Vec::new() }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Udp {
    pub(super) source: u16,
    pub(super) destination: u16,
    pub(super) checksum: Option<u16>,
}

impl Udp {
    pub(super) fn new(source: u16, destination: u16) -> Self {
        Self { source, destination, checksum: None }
    }
}

/// `address`, an IPv4 one as mapped into IPv6.
pub(super) fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}
