//! Frames for the tests, built plainly: every header written out, every checksum summed anew.
//!
//! Nothing here uses `lb-common`, so that the two can be compared. Defaults are those of scapy (TTL 64,
//! identification 1, window 8192), for the same reason.

mod describe;
mod emit;
mod header;

use std::net::{IpAddr, SocketAddr};

use header::{Header, Ipv4, Ipv6, Tcp, Udp};

pub use describe::describe;
pub use emit::checksum;
pub use header::Mac;

/// Flag of a TCP header.
pub const FIN: u8 = 0x01;
/// Flag of a TCP header.
pub const SYN: u8 = 0x02;
/// Flag of a TCP header.
pub const RST: u8 = 0x04;
/// Flag of a TCP header.
pub const PSH: u8 = 0x08;
/// Flag of a TCP header.
pub const ACK: u8 = 0x10;

/// `EtherType` of IPv4.
pub const IPV4: u16 = 0x0800;
/// `EtherType` of IPv6.
pub const IPV6: u16 = 0x86dd;
/// `EtherType` of ARP.
pub const ARP: u16 = 0x0806;
/// `EtherType` of a VLAN tag.
pub const VLAN: u16 = 0x8100;
/// `EtherType` of a service tag (`QinQ`).
pub const QINQ: u16 = 0x88a8;
/// `EtherType` of MPLS.
pub const MPLS: u16 = 0x8847;

/// The MAC address of the router before the clients, where frames come from unless told otherwise.
pub const CLIENT_MAC: Mac = [2, 0, 0, 0, 0, 0xc1];
/// The MAC address of the director's first interface, where frames go to unless told otherwise.
pub const DIRECTOR_MAC: Mac = [2, 0, 0, 0, 0, 0xd1];

/// A frame in the making: an Ethernet header, headers from the outside in, and what they carry.
///
/// A setter changes the outermost header that has such a field, and nothing if there is none.
#[derive(Clone, Debug)]
#[must_use]
pub struct PacketBuilder {
    destination: Mac,
    source: Mac,
    ether_type: u16,
    tags: Vec<u8>,
    headers: Vec<Header>,
    payload: Vec<u8>,
    padded: usize,
}

/// A TCP segment with only SYN set.
pub fn tcp(from: SocketAddr, to: SocketAddr) -> PacketBuilder {
    ip(from.ip(), to.ip()).with(Header::Tcp(Tcp::new(from.port(), to.port())))
}

/// A UDP datagram.
pub fn udp(from: SocketAddr, to: SocketAddr) -> PacketBuilder {
    ip(from.ip(), to.ip()).with(Header::Udp(Udp::new(from.port(), to.port())))
}

/// An IP packet of `protocol` that carries `payload`.
pub fn raw(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> PacketBuilder {
    ip(from, to).protocol(protocol).payload(payload)
}

/// A frame of any `EtherType`.
pub fn frame(ether_type: u16, payload: &[u8]) -> PacketBuilder {
    PacketBuilder {
        destination: DIRECTOR_MAC,
        source: CLIENT_MAC,
        ether_type,
        tags: Vec::new(),
        headers: Vec::new(),
        payload: payload.to_vec(),
        padded: 0,
    }
}

/// A request of `from` for the MAC address of `to` (RFC 826).
pub fn arp_request(from: [u8; 4], to: [u8; 4]) -> PacketBuilder {
    let head = [0, 1, 8, 0, 6, 4, 0, 1];
    let body = [&head[..], &CLIENT_MAC, &from, &[0; 6], &to].concat();
    frame(ARP, &body).to_mac([0xff; 6])
}

fn ip(from: IpAddr, to: IpAddr) -> PacketBuilder {
    let header = ip_header(from, to);
    frame(header.ether_type(), &[]).with(header)
}

fn ip_header(from: IpAddr, to: IpAddr) -> Header {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Header::V4(Ipv4::new(from, to)),
        (from, to) => Header::V6(Ipv6::new(header::v6(from), header::v6(to))),
    }
}

impl PacketBuilder {
    /// The frame.
    pub fn build(&self) -> Vec<u8> {
        let ether_type = self.ether_type.to_be_bytes();
        let body = emit::headers(&self.headers, &self.payload);
        let mut frame = [&self.destination[..], &self.source, &self.tags, &ether_type, &body].concat();
        frame.resize(frame.len().max(self.padded), 0);
        frame
    }

    /// Sends it from `source` to `destination` on the wire.
    pub fn macs(mut self, source: Mac, destination: Mac) -> Self {
        (self.source, self.destination) = (source, destination);
        self
    }

    /// Sends it to `destination` on the wire.
    pub fn to_mac(self, destination: Mac) -> Self {
        let source = self.source;
        self.macs(source, destination)
    }

    /// Puts a tag (`VLAN` or `QINQ`) in front of what is there.
    pub fn tag(mut self, ether_type: u16, number: u16) -> Self {
        self.tags = [&ether_type.to_be_bytes()[..], &number.to_be_bytes(), &self.tags].concat();
        self
    }

    /// Puts an MPLS label in front of the IP header.
    pub fn mpls(self, label: [u8; 4]) -> Self {
        let body = emit::headers(&self.headers, &self.payload);
        frame(MPLS, &[&label[..], &body].concat()).macs(self.source, self.destination)
    }

    /// Carries `payload` behind the last header.
    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    /// Carries `len` bytes that differ from each other.
    pub fn payload_len(mut self, len: usize) -> Self {
        self.payload = (0..len).map(|n| u8::try_from(n % 251).unwrap_or_default()).collect();
        self
    }

    /// Extends the frame with zeros behind the IP packet, as a short frame is on the wire.
    pub fn padded(mut self, len: usize) -> Self {
        self.padded = len;
        self
    }

    /// Puts everything into a tunnel from `from` to `to`.
    pub fn tunnelled(mut self, from: IpAddr, to: IpAddr) -> Self {
        let header = ip_header(from, to);
        self.ether_type = header.ether_type();
        self.headers.insert(0, header);
        self
    }

    fn with(mut self, header: Header) -> Self {
        self.headers.push(header);
        self
    }
}

macro_rules! setters {
    ($(
        $(#[$doc:meta])*
        $name:ident($($argument:ident: $type:ty),*) $($header:ident => $field:ident = $value:expr),+;
    )*) => {
        impl PacketBuilder {
            $($(#[$doc])* pub fn $name(mut self, $($argument: $type),*) -> Self {
                for header in &mut self.headers {
                    $(if let Header::$header(header) = header {
                        header.$field = $value;
                        return self;
                    })+
                }
                self
            })*
        }
    };
}

setters! {
    /// Sets TTL or hop limit.
    ttl(ttl: u8) V4 => ttl = ttl, V6 => hop_limit = ttl;
    /// Sets TOS or traffic class.
    tos(tos: u8) V4 => tos = tos, V6 => class = tos;
    /// Sets the protocol instead of the one of what follows.
    protocol(protocol: u8) V4 => protocol = Some(protocol), V6 => protocol = Some(protocol);
    /// Sets the identification of IPv4.
    id(id: u16) V4 => id = id;
    /// Sets the flags and fragment offset of IPv4: the word as it is on the wire.
    fragment(word: u16) V4 => fragment = word;
    /// Sets the don't-fragment bit of IPv4.
    dont_fragment() V4 => fragment = 0x4000;
    /// Sets the options of IPv4, a multiple of four bytes.
    ip_options(options: &[u8]) V4 => options = options.to_vec();
    /// Sets the total length of IPv4 or the payload length of IPv6 instead of the right one.
    ip_len(len: u16) V4 => len = Some(len), V6 => len = Some(len);
    /// Sets the version of IPv4 or IPv6 instead of the right one.
    version(version: u8) V4 => version = version, V6 => version = version;
    /// Puts extension headers between IPv6 and what follows: the number of the first, and all their bytes.
    extension(first: u8, bytes: &[u8]) V6 => extension = Some((first, bytes.to_vec()));
    /// Sets the flags of TCP.
    flags(flags: u8) Tcp => flags = flags;
    /// Sets the sequence number of TCP.
    sequence(sequence: u32) Tcp => sequence = sequence;
    /// Sets the acknowledgement number of TCP.
    acknowledgement(number: u32) Tcp => acknowledgement = number;
    /// Sets the window of TCP.
    window(window: u16) Tcp => window = window;
    /// Sets the options of TCP, a multiple of four bytes.
    tcp_options(options: &[u8]) Tcp => options = options.to_vec();
    /// Sets the checksum of UDP instead of the right one.
    udp_checksum(checksum: u16) Udp => checksum = Some(checksum);
}

#[cfg(test)]
mod tests;
