//! The decapsulation program: tunnels for this host with a VIP it was told about, and nothing else.

use crate::given::{V4, V6};
use lb_common::verdict::Reason::{Decapsulated, EcnInvalid, NotIp, NotOurTunnel};
use lb_tests::packet::{PacketBuilder, VLAN, arp_request, tcp};
use lb_tests::program::{Expected, LoadedDecap, cases, drops, passes};
use std::net::{IpAddr, SocketAddr};

const DECAP: &str = include_str!("../fixtures/decap.txt");

fn load() -> LoadedDecap {
    LoadedDecap::load(&[V4.servers[0], V6.servers[0]], &[V4.vip.ip(), V6.vip.ip()])
}

#[test]
fn the_inner_packet_is_what_scapy_says() {
    let program = load();
    let cases = cases(DECAP);
    assert_eq!(cases.len(), 4 * 16);
    for case in &cases {
        println!("{}", case.name);
        let step = &case.steps[0];
        let expected = match &step.sent {
            Some(inner) => passes(Decapsulated).becoming(inner.clone()),
            None => drops(EcnInvalid),
        };
        program.expect(&step.frame, &expected);
    }
}

fn rows() -> Vec<(&'static str, PacketBuilder, Expected)> {
    let mine = |packet: PacketBuilder| packet.tunnelled(V4.director, V4.servers[0]);
    let mapped = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        IpAddr::V6(_) => address,
    };
    let (mapped_vip, mapped_host) = (SocketAddr::new(mapped(V4.vip.ip()), 80), mapped(V4.servers[0]));
    let stranger = tcp(V4.client, (V4.servers[2], 80).into());
    let ours = |reason| passes(reason);
    vec![
        ("without a tunnel", V4.syn(), ours(NotOurTunnel)),
        ("without a tunnel, v6", V6.datagram(), ours(NotOurTunnel)),
        ("to another host", V4.syn().tunnelled(V4.director, V4.servers[1]), ours(NotOurTunnel)),
        ("to another host, v6", V6.syn().tunnelled(V6.director, V6.servers[1]), ours(NotOurTunnel)),
        ("to the VIP itself", V4.syn().tunnelled(V4.director, V4.vip.ip()), ours(NotOurTunnel)),
        ("unknown inner address", mine(stranger.clone()), ours(NotOurTunnel)),
        ("unknown inner address, v6", stranger.tunnelled(V6.director, V6.servers[0]), ours(NotOurTunnel)),
        ("outer options", mine(V4.syn()).ip_options(&[1; 4]), ours(NotOurTunnel)),
        ("outer fragment", mine(V4.syn()).fragment(0x2000), ours(NotOurTunnel)),
        ("later outer fragment", mine(V4.syn()).fragment(9), ours(NotOurTunnel)),
        ("another protocol", mine(V4.syn()).protocol(47), ours(NotOurTunnel)),
        ("4 announced, 6 inside", mine(V6.syn()).protocol(4), ours(NotOurTunnel)),
        ("6 announced, 4 inside", mine(V4.syn().payload_len(60)).protocol(41), ours(NotOurTunnel)),
        ("inner address mapped into IPv6", mine(tcp(V6.client, mapped_vip)), ours(NotOurTunnel)),
        ("outer address mapped into IPv6", V4.syn().tunnelled(V6.director, mapped_host), ours(NotOurTunnel)),
        ("arp", arp_request([10, 0, 0, 1], [10, 0, 0, 11]), ours(NotIp)),
        ("vlan", mine(V4.syn()).tag(VLAN, 7), ours(NotIp)),
    ]
}

#[test]
fn everything_else_passes_untouched() {
    let program = load();
    for (name, packet, expected) in rows() {
        println!("{name}");
        program.expect(&packet.build(), &expected);
    }
}

#[test]
fn whatever_is_inside_comes_out_whole() {
    let program = load();
    let fragment = V4.datagram().fragment(0x2000);
    for inner in [V4.syn().ip_options(&[1; 4]), fragment, V4.syn().ttl(1), V4.datagram().payload_len(1400)] {
        let expected = passes(Decapsulated).becoming(inner.build());
        program.expect(&inner.clone().tunnelled(V4.director, V4.servers[0]).build(), &expected);
    }
}
