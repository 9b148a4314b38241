//! Which ports are a service's: one, a list, a range, any.

use crate::given::{V4, V6};
use lb_common::flow::{TCP, UDP};
use lb_common::server::Method::{Dr, Nat};
use lb_common::verdict::Reason::{ForwardedDr, ForwardedNat, NotAService, RepliedNat};
use lb_tests::packet::{DIRECTOR_MAC, PacketBuilder, tcp, udp};
use lb_tests::program::{LoadedProgram, World, mac_of, passes, sends, service};
use std::net::SocketAddr;

fn vip(port: u16) -> SocketAddr {
    SocketAddr::new(V4.vip.ip(), port)
}

fn to(port: u16) -> PacketBuilder {
    tcp(V4.client, vip(port))
}

fn routed(packet: &PacketBuilder) -> Vec<u8> {
    V4.routed(packet, 1)
}

mod list_and_range {
    use super::*;

    /// Service 1 has a list of ports, service 2 a range over UDP.
    fn world() -> World {
        let list = service(TCP, V4.vip).ports([80, 443, 8443]).with(V4.server(1, Dr));
        let range = service(UDP, V4.vip).ports(30_000..=30_100).with(V4.server(1, Dr));
        World::new([list, range])
    }

    cases! { world();
        first_of_the_list => to(80), sends(ForwardedDr, 1, 1, routed(&to(80))).opening();
        last_of_the_list => to(8443), sends(ForwardedDr, 1, 1, routed(&to(8443))).opening();
        beside_the_list => to(444), passes(NotAService);
        the_list_over_udp => udp(V4.client, vip(443)), passes(NotAService);
        first_of_the_range => udp(V4.client, vip(30_000)),
            sends(ForwardedDr, 2, 2, routed(&udp(V4.client, vip(30_000)))).opening();
        last_of_the_range => udp(V4.client, vip(30_100)),
            sends(ForwardedDr, 2, 2, routed(&udp(V4.client, vip(30_100)))).opening();
        before_the_range => udp(V4.client, vip(29_999)), passes(NotAService);
        after_the_range => udp(V4.client, vip(30_101)), passes(NotAService);
        the_range_over_tcp => to(30_000), passes(NotAService);
    }
}

mod any {
    use super::*;

    /// Service 1 takes any port over TCP, service 2 port 80.
    fn world() -> World {
        World::new([service(TCP, V4.vip).ports([0]).with(V4.server(1, Dr)), V4.tcp([V4.server(2, Dr)])])
    }

    cases! { world();
        lowest => to(1), sends(ForwardedDr, 1, 1, routed(&to(1))).opening();
        highest => to(65_535), sends(ForwardedDr, 1, 1, routed(&to(65_535))).opening();
        an_exact_service_comes_first => to(80), sends(ForwardedDr, 2, 2, V4.routed(&to(80), 2)).opening();
        another_protocol => udp(V4.client, vip(81)), passes(NotAService);
        another_address => tcp(V4.client, SocketAddr::new(V4.director, 81)), passes(NotAService);
        another_family => tcp(V6.client, SocketAddr::new(V6.vip.ip(), 81)), passes(NotAService);
    }
}

#[test]
fn nat_keeps_the_port_of_a_list_there_and_back() {
    let mut program = LoadedProgram::load(&World::new([V4.tcp([V4.server(1, Nat)]).ports([80, 443])]));
    for (place, port) in [443, 80].into_iter().enumerate() {
        let server = SocketAddr::new(V4.servers[0], port);
        let client = V4.client_at(50_000 + u16::try_from(place).unwrap());
        let inside = tcp(client, server).ttl(63).macs(DIRECTOR_MAC, mac_of(server.ip()));
        program.expect(&tcp(client, vip(port)).build(), &sends(ForwardedNat, 1, 1, inside.build()).opening());
        let answer = tcp(server, client).flags(0x12);
        let outside = crate::given::returned(tcp(vip(port), client).flags(0x12).ttl(63));
        program.expect(&answer.build(), &sends(RepliedNat, 1, 1, outside).replied());
    }
}
