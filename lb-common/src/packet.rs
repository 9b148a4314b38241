//! The one way to a packet's bytes, and what is read from them first.

use crate::address::Address;
use crate::connection::{Segment, TcpFlags};
use crate::flow::{FlowKey, Owner, TCP, UDP};
use crate::service::ServiceKey;
use crate::verdict::Reason;
use crate::wire::ethernet::{self, EthernetHeader};
use crate::wire::ipv4::Ipv4Header;
use crate::wire::ipv6::Ipv6Header;
use crate::wire::tcp::TcpHeader;
use crate::wire::udp::UdpHeader;
use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A type that may be laid over packet bytes: any bit pattern is valid and it needs no alignment.
pub trait Header: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned {}
impl<T: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned> Header for T {}

/// One frame, seen through bounds-checked windows of constant size.
pub trait PacketBytes {
    /// The header of type `T` at `offset` bytes from the start of the frame, if all of it is there.
    fn load<T: Header>(&self, offset: usize) -> Option<&T>;
    /// The same, to be written.
    fn load_mut<T: Header>(&mut self, offset: usize) -> Option<&mut T>;
    /// Length of the frame in bytes.
    fn frame_len(&self) -> usize;
}

/// A frame whose ends can move. Every window is void afterwards.
pub trait PacketResize: PacketBytes {
    /// Adds `bytes` (negative: removes) at the start; `None` if there is no room. New bytes are undefined.
    fn grow_head(&mut self, bytes: i32) -> Option<()>;
    /// Adds `bytes` (negative: removes) at the end; `None` if there is no room.
    fn grow_tail(&mut self, bytes: i32) -> Option<()>;
}

/// Length of the Ethernet header, and so the offset of the IP header.
pub const IP_OFFSET: usize = size_of::<EthernetHeader>();

/// IP family of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Length of the IP header, without options or extension headers.
    #[inline]
    pub const fn header_len(self) -> usize {
        match self {
            Self::V4 => size_of::<Ipv4Header>(),
            Self::V6 => size_of::<Ipv6Header>(),
        }
    }

    /// Offset of the TCP or UDP header.
    #[inline]
    pub const fn l4_offset(self) -> usize {
        IP_OFFSET + self.header_len()
    }
}

/// What the stages need of a TCP or UDP packet, copied out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// IP family.
    pub family: Family,
    /// TCP or UDP.
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TCP flags; none for UDP.
    pub flags: TcpFlags,
    /// Length of the IP packet in bytes.
    pub ip_len: u32,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Source port.
    pub source_port: U16,
    /// Destination port.
    pub destination_port: U16,
}

impl Parsed {
    /// The key of the service that the packet may be for.
    #[inline]
    pub const fn service_key(&self) -> ServiceKey {
        ServiceKey::new(self.destination, self.destination_port, self.protocol)
    }

    /// The flow of a client's packet to service `id`.
    #[inline]
    pub const fn client_flow(&self, id: u32) -> FlowKey {
        FlowKey::new(self.source, self.source_port, self.destination_port, Owner::service(id))
    }

    /// The flow of an answer from nat host `id`.
    #[inline]
    pub const fn reply_flow(&self, id: u32) -> FlowKey {
        let owner = Owner::host(id, self.protocol);
        FlowKey::new(self.destination, self.destination_port, self.source_port, owner)
    }

    /// What the packet asks for.
    #[inline]
    pub const fn segment(&self) -> Segment {
        match self.protocol {
            UDP => Segment::Udp,
            _ if self.flags.opens() => Segment::Syn,
            _ => Segment::Tcp,
        }
    }
}

/// Reads the headers of a frame of `length` bytes into `parsed`; leaves with the reason to pass it when it cannot be ours.
///
/// # Errors
///
/// The reason, of kind [`crate::verdict::Kind::Pass`]; `parsed` is then half filled.
///
/// The result is an argument because a returned one is copied three times over, and the program's stack is 512 bytes.
#[inline(always)]
#[expect(clippy::inline_always, reason = "out of line, 6.18 says `invalid mem access 'scalar'` of the frame")]
pub fn parse<P: PacketBytes + ?Sized>(packet: &P, length: usize, parsed: &mut Parsed) -> Result<(), Reason> {
    let ethernet: &EthernetHeader = packet.load(0).ok_or(Reason::Truncated)?;
    match ethernet.ether_type.get() {
        ethernet::IPV4 => parse_v4(packet, parsed)?,
        ethernet::IPV6 => parse_v6(packet, parsed)?,
        _ => return Err(Reason::NotIp),
    }
    if parsed.ip_len as usize + IP_OFFSET > length {
        return Err(Reason::Truncated);
    }
    parse_l4(packet, parsed)
}

#[inline]
fn parse_v4<P: PacketBytes + ?Sized>(packet: &P, parsed: &mut Parsed) -> Result<(), Reason> {
    let ip: &Ipv4Header = packet.load(IP_OFFSET).ok_or(Reason::Truncated)?;
    if ip.version_ihl != Ipv4Header::WITHOUT_OPTIONS {
        return Err(if ip.version_ihl >> 4 == 4 { Reason::IpOptions } else { Reason::NotIp });
    }
    if ip.is_fragment() {
        return Err(Reason::Fragment);
    }
    parsed.family = Family::V4;
    parsed.protocol = ip.protocol;
    parsed.ttl = ip.ttl;
    parsed.ip_len = u32::from(ip.total_len.get());
    parsed.source = Address::from_v4(ip.source);
    parsed.destination = Address::from_v4(ip.destination);
    Ok(())
}

#[inline]
fn parse_v6<P: PacketBytes + ?Sized>(packet: &P, parsed: &mut Parsed) -> Result<(), Reason> {
    let ip: &Ipv6Header = packet.load(IP_OFFSET).ok_or(Reason::Truncated)?;
    if ip.version() != 6 {
        return Err(Reason::NotIp);
    }
    parsed.family = Family::V6;
    parsed.protocol = ip.next_header;
    parsed.ttl = ip.hop_limit;
    parsed.ip_len = u32::from(ip.payload_len.get()) + 40;
    parsed.source = Address::from_v6(ip.source);
    parsed.destination = Address::from_v6(ip.destination);
    // In the tables such an address means the IPv4 one; on the wire it means nothing (RFC 4291, section 2.5.5.2).
    if parsed.source.is_v4() || parsed.destination.is_v4() {
        return Err(Reason::NotAService);
    }
    Ok(())
}

#[inline]
fn parse_l4<P: PacketBytes + ?Sized>(packet: &P, parsed: &mut Parsed) -> Result<(), Reason> {
    let offset = parsed.family.l4_offset();
    let shortest = match parsed.protocol {
        TCP => {
            let tcp: &TcpHeader = packet.load(offset).ok_or(Reason::Truncated)?;
            parsed.flags = TcpFlags(tcp.flags);
            (parsed.source_port, parsed.destination_port) = (tcp.source, tcp.destination);
            size_of::<TcpHeader>()
        }
        UDP => {
            let udp: &UdpHeader = packet.load(offset).ok_or(Reason::Truncated)?;
            (parsed.source_port, parsed.destination_port) = (udp.source, udp.destination);
            size_of::<UdpHeader>()
        }
        _ => return Err(Reason::NotTcpOrUdp),
    };
    if (parsed.ip_len as usize) < parsed.family.header_len() + shortest {
        return Err(Reason::Truncated);
    }
    Ok(())
}

impl Default for Parsed {
    fn default() -> Self {
        Self {
            family: Family::V4,
            protocol: 0,
            ttl: 0,
            flags: TcpFlags(0),
            ip_len: 0,
            source: Address::UNSPECIFIED,
            destination: Address::UNSPECIFIED,
            source_port: U16::ZERO,
            destination_port: U16::ZERO,
        }
    }
}
