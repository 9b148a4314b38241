//! What the rows are about: a client, a VIP, servers, in both families.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

use lb_common::address::Address;
use lb_common::flow::{TCP, UDP};
use lb_common::index::place;
use lb_common::server::Method;
use lb_common::service::ServiceKey;
use lb_tests::packet::{ACK, CLIENT_MAC, DIRECTOR_MAC, PacketBuilder, checksum, raw, tcp, udp};
use lb_tests::program::{ServerSpec, Service, World, address, mac_of, server, service};

/// A client, a VIP and servers of one family.
pub(crate) struct Family {
    pub(crate) client: SocketAddr,
    pub(crate) vip: SocketAddr,
    /// An address of the director that is no VIP.
    pub(crate) director: IpAddr,
    pub(crate) servers: [IpAddr; 3],
}

fn family(client: &str, vip: &str, director: &str, servers: [&str; 3]) -> Family {
    let socket = |text: &str| text.parse().unwrap();
    Family {
        client: socket(client),
        vip: socket(vip),
        director: address(director),
        servers: servers.map(address),
    }
}

pub(crate) static V4: LazyLock<Family> = LazyLock::new(|| {
    family("198.51.100.7:40000", "192.0.2.10:80", "10.0.0.1", ["10.0.0.11", "10.0.0.12", "10.0.0.13"])
});

pub(crate) static V6: LazyLock<Family> = LazyLock::new(|| {
    let servers = ["2001:db8:1::11", "2001:db8:1::12", "2001:db8:1::13"];
    family("[2001:db8:c::7]:40000", "[2001:db8::10]:80", "2001:db8:1::1", servers)
});

impl Family {
    /// A SYN of the client to the service.
    pub(crate) fn syn(&self) -> PacketBuilder {
        tcp(self.client, self.vip)
    }

    /// An ACK of the client to the service.
    pub(crate) fn ack(&self) -> PacketBuilder {
        self.flagged(ACK)
    }

    /// Any segment of the client to the service.
    pub(crate) fn flagged(&self, flags: u8) -> PacketBuilder {
        self.syn().flags(flags).sequence(1001).acknowledgement(5001)
    }

    /// A datagram of the client to the service.
    pub(crate) fn datagram(&self) -> PacketBuilder {
        udp(self.client, self.vip).payload(b"question")
    }

    /// The client with another port.
    pub(crate) fn client_at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.client.ip(), port)
    }

    /// Server number `n`, from 1, by this method; its outer source is the director.
    pub(crate) fn server(&self, n: usize, method: Method) -> ServerSpec {
        server(method, self.servers[n - 1]).source(self.director)
    }

    /// The TCP service with these servers.
    pub(crate) fn tcp(&self, servers: impl IntoIterator<Item = ServerSpec>) -> Service {
        with_all(service(TCP, self.vip), servers)
    }

    /// The UDP service with these servers.
    pub(crate) fn udp(&self, servers: impl IntoIterator<Item = ServerSpec>) -> Service {
        with_all(service(UDP, self.vip), servers)
    }

    /// Service 1 over TCP with server 1, service 2 over UDP with server 2, both at the first address by `method`.
    pub(crate) fn both(&self, method: Method) -> World {
        World::new([self.tcp([self.server(1, method)]), self.udp([self.server(1, method)])])
    }

    /// Service 1 over TCP with three dr servers, 1 to 3.
    pub(crate) fn three(&self) -> Service {
        self.tcp([1, 2, 3].map(|n| self.server(n, Method::Dr)))
    }

    /// `packet` as the dr server `n` gets it.
    pub(crate) fn routed(&self, packet: &PacketBuilder, n: usize) -> Vec<u8> {
        packet.clone().ttl(63).macs(DIRECTOR_MAC, mac_of(self.servers[n - 1])).build()
    }
}

fn with_all(service: Service, servers: impl IntoIterator<Item = ServerSpec>) -> Service {
    servers.into_iter().fold(service, Service::with)
}

/// `packet` as the client gets it from the director.
pub(crate) fn returned(packet: PacketBuilder) -> Vec<u8> {
    packet.macs(DIRECTOR_MAC, CLIENT_MAC).build()
}

/// The ICMP error of the VIP that quotes `packet` of IPv4: its IP header and eight bytes (RFC 792, RFC 1191).
pub(crate) fn error_v4(kind: u8, code: u8, mtu: u16, packet: &PacketBuilder) -> Vec<u8> {
    let quote = &packet.build()[14..14 + 28];
    let body = [&[0, 0][..], &mtu.to_be_bytes(), quote].concat();
    let sum = checksum(&[&[kind, code, 0, 0][..], &body].concat()).to_be_bytes();
    let message = [&[kind, code][..], &sum, &body].concat();
    returned(raw(V4.vip.ip(), V4.client.ip(), 1, &message).dont_fragment().id(0))
}

/// A key of another VIP that has the place of `key` in the index of services, and that VIP.
pub(crate) fn twin(key: &ServiceKey) -> (ServiceKey, Ipv4Addr) {
    let vips = (0x0a00_0000..0x0b00_0000).map(Ipv4Addr::from_bits);
    let keys = vips.map(|vip| (ServiceKey::new(Address::from_v4(vip.octets()), key.port, key.protocol), vip));
    keys.into_iter().find(|(twin, _)| place(twin) == place(key)).unwrap()
}
