//! What is not ours passes, byte for byte, whatever it looks like.

use crate::given::{V4, V6};
use lb_common::server::Method::Nat;
use lb_common::verdict::Reason::{Fragment, IpOptions, NotAService, NotIp, NotTcpOrUdp, Truncated};
use lb_tests::packet::{ACK, PacketBuilder, QINQ, RST, SYN, VLAN, arp_request, frame, raw, tcp, udp};
use lb_tests::program::{LoadedProgram, World, passes};
use std::net::{IpAddr, SocketAddr};

/// Both families with a nat server, so that answers are looked for as well.
fn world() -> World {
    let servers = || [V4.server(1, Nat)];
    World::new([
        V4.tcp(servers()),
        V4.udp(servers()),
        V6.tcp([V6.server(1, Nat)]),
        V6.udp([V6.server(1, Nat)]),
    ])
}

fn to_vip(protocol: u8, payload: &[u8]) -> PacketBuilder {
    raw(V4.client.ip(), V4.vip.ip(), protocol, payload)
}

fn to_vip_v6(protocol: u8, payload: &[u8]) -> PacketBuilder {
    raw(V6.client.ip(), V6.vip.ip(), protocol, payload)
}

/// The service's VIP at another port.
fn other_port(vip: SocketAddr) -> SocketAddr {
    SocketAddr::new(vip.ip(), 81)
}

mod link {
    use super::*;

    cases! { world();
        arp => arp_request([198, 51, 100, 7], [192, 0, 2, 10]), passes(NotIp);
        arp_with_padding => arp_request([198, 51, 100, 7], [192, 0, 2, 10]).padded(60), passes(NotIp);
        lldp => frame(0x88cc, &[2, 7, 4, 0, 1, 2, 3, 4, 5]).to_mac([1, 0x80, 0xc2, 0, 0, 0xe]), passes(NotIp);
        stp => frame(38, &[0x42, 0x42, 3, 0, 0, 0, 0, 0]).to_mac([1, 0x80, 0xc2, 0, 0, 0]).padded(60), passes(NotIp);
        vlan => V4.syn().tag(VLAN, 7), passes(NotIp);
        qinq => V4.syn().tag(VLAN, 7).tag(QINQ, 9), passes(NotIp);
        vlan_v6 => V6.syn().tag(VLAN, 7), passes(NotIp);
        mpls => V4.syn().mpls([0, 0x06, 0x41, 0x40]), passes(NotIp);
        runt => frame(0x0800, &[]), passes(Truncated);
        runt_v6 => frame(0x86dd, &[0x60]), passes(Truncated);
        ethertype_of_v4_with_version_6 => V4.syn().version(6), passes(NotIp);
        ethertype_of_v6_with_version_4 => V6.syn().version(4), passes(NotIp);
        jumbo => udp(V4.client, other_port(V4.vip)).payload_len(8_900), passes(NotAService);
        jumbo_v6 => udp(V6.client, other_port(V6.vip)).payload_len(8_900), passes(NotAService);
    }
}

mod network {
    use super::*;

    const ROUTER_ALERT: &[u8] = &[0x94, 4, 0, 0];

    cases! { world();
        v4_options => V4.syn().ip_options(ROUTER_ALERT), passes(IpOptions);
        v4_most_options => V4.datagram().ip_options(&[1; 40]), passes(IpOptions);
        first_fragment => V4.datagram().fragment(0x2000).payload_len(64), passes(Fragment);
        later_fragment => V4.datagram().fragment(0x2005), passes(Fragment);
        last_fragment => V4.datagram().fragment(0x0005), passes(Fragment);
        v6_hop_by_hop => V6.syn().extension(0, &[6, 0, 1, 4, 0, 0, 0, 0]), passes(NotTcpOrUdp);
        v6_routing => V6.syn().extension(43, &[6, 0, 0, 0, 0, 0, 0, 0]), passes(NotTcpOrUdp);
        v6_fragment => V6.datagram().extension(44, &[17, 0, 0, 1, 0, 0, 0, 9]), passes(NotTcpOrUdp);
        v6_later_fragment => V6.datagram().extension(44, &[17, 0, 0, 0x29, 0, 0, 0, 9]), passes(NotTcpOrUdp);
        v6_destination_options => V6.datagram().extension(60, &[17, 0, 1, 4, 0, 0, 0, 0]), passes(NotTcpOrUdp);
        v6_no_next_header => to_vip_v6(59, &[]), passes(NotTcpOrUdp);
        ipip_to_another_host => V4.syn().tunnelled(V4.director, V4.servers[0]), passes(NotTcpOrUdp);
        ipip_to_the_vip => V4.syn().tunnelled(V4.client.ip(), V4.vip.ip()), passes(NotTcpOrUdp);
        ip6_in_ip6_to_another_host => V6.syn().tunnelled(V6.director, V6.servers[0]), passes(NotTcpOrUdp);
        v6_in_4_to_another_host => V6.syn().tunnelled(V4.director, V4.servers[0]), passes(NotTcpOrUdp);
    }
}

mod protocol {
    use super::*;

    const ECHO: &[u8] = &[8, 0, 0xe5, 0xf3, 0x12, 0x34, 0, 1, 1, 2, 3, 4];

    cases! { world();
        icmp_echo => to_vip(1, ECHO), passes(NotTcpOrUdp);
        icmp_unreachable => to_vip(1, &[3, 4, 0, 0, 0, 0, 5, 0xdc]), passes(NotTcpOrUdp);
        icmpv6_echo => to_vip_v6(58, &[128, 0, 0, 0, 0, 1, 0, 1]), passes(NotTcpOrUdp);
        neighbour_solicitation => to_vip_v6(58, &[135, 0, 0, 0, 0, 0, 0, 0]).ttl(255), passes(NotTcpOrUdp);
        neighbour_advertisement => to_vip_v6(58, &[136, 0, 0, 0, 0, 0, 0, 0]).ttl(255), passes(NotTcpOrUdp);
        router_advertisement => to_vip_v6(58, &[134, 0, 0, 0, 64, 0, 0, 0]).ttl(255), passes(NotTcpOrUdp);
        igmp => to_vip(2, &[0x16, 0, 0, 0, 224, 0, 0, 1]).ttl(1), passes(NotTcpOrUdp);
        igmp_with_router_alert => to_vip(2, &[0x22, 0, 0, 0]).ttl(1).ip_options(&[0x94, 4, 0, 0]), passes(IpOptions);
        ospf => to_vip(89, &[2, 1, 0, 44]).ttl(1), passes(NotTcpOrUdp);
        vrrp => to_vip(112, &[0x31, 1, 100, 1]).ttl(255), passes(NotTcpOrUdp);
        vrrp_v6 => to_vip_v6(112, &[0x31, 1, 100, 1]).ttl(255), passes(NotTcpOrUdp);
        gre => to_vip(47, &[0, 0, 8, 0, 0x45]), passes(NotTcpOrUdp);
        esp => to_vip(50, &[0, 0, 0, 1, 0, 0, 0, 1]), passes(NotTcpOrUdp);
        esp_v6 => to_vip_v6(50, &[0, 0, 0, 1, 0, 0, 0, 1]), passes(NotTcpOrUdp);
        sctp => to_vip(132, &[0x9c, 0x40, 0, 80, 0, 0, 0, 0]), passes(NotTcpOrUdp);
        udp_lite => to_vip(136, &[0x9c, 0x40, 0, 80, 0, 8, 0, 0]), passes(NotTcpOrUdp);
    }
}

mod transport {
    use super::*;

    cases! { world();
        another_port_of_the_vip => tcp(V4.client, other_port(V4.vip)), passes(NotAService);
        another_udp_port_of_the_vip => udp(V4.client, other_port(V4.vip)), passes(NotAService);
        another_port_of_the_vip_v6 => tcp(V6.client, other_port(V6.vip)), passes(NotAService);
        another_address => tcp(V4.client, SocketAddr::new(V4.director, 80)), passes(NotAService);
        another_address_v6 => udp(V6.client, SocketAddr::new(V6.director, 80)), passes(NotAService);
        ttl_1_to_another_address => tcp(V4.client, SocketAddr::new(V4.director, 80)).ttl(1), passes(NotAService);
        hop_limit_0_to_another_address => udp(V6.client, (V6.director, 80).into()).ttl(0), passes(NotAService);
        reset_to_another_port => tcp(V4.client, other_port(V4.vip)).flags(RST), passes(NotAService);
        port_0_of_the_vip => tcp(V4.client, SocketAddr::new(V4.vip.ip(), 0)), passes(NotAService);
        of_a_nat_server_to_a_stranger => tcp((V4.servers[0], 80).into(), V4.client).flags(SYN | ACK), passes(NotAService);
        of_a_nat_server_to_a_stranger_v6 => udp(SocketAddr::new(V6.servers[0], 80), V6.client), passes(NotAService);
        from_the_vip => tcp(V4.vip, V4.client).flags(SYN | ACK), passes(NotAService);
        wrong_tcp_checksum_elsewhere => tcp(V4.client, other_port(V4.vip)).payload_len(1), passes(NotAService);
        ip_longer_than_the_frame => V4.syn().ip_len(100), passes(Truncated);
        ip_longer_than_the_frame_v6 => V6.syn().ip_len(100), passes(Truncated);
        ip_shorter_than_tcp => V4.syn().ip_len(39), passes(Truncated);
        ip_shorter_than_itself => V4.datagram().ip_len(19), passes(Truncated);
        ip_shorter_than_udp_v6 => V6.datagram().ip_len(7), passes(Truncated);
    }

    #[test]
    fn an_address_mapped_into_ipv6_is_not_the_ipv4_one() {
        let mut program = LoadedProgram::load(&world());
        for packet in [
            tcp(mapped(V4.client), mapped(V4.vip)),
            udp(mapped(V4.client), V6.vip),
            tcp(mapped((V4.servers[0], 80).into()), mapped(V4.client)),
        ] {
            program.expect(&packet.build(), &passes(NotAService));
        }
    }
}

/// The same as `::ffff:a.b.c.d`.
fn mapped(socket: SocketAddr) -> SocketAddr {
    match socket.ip() {
        IpAddr::V4(v4) => SocketAddr::new(v4.to_ipv6_mapped().into(), socket.port()),
        IpAddr::V6(_) => socket,
    }
}
