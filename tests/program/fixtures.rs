//! nat and tunnels against what scapy says (`fixtures/generate.py`), and the packet builder against the same frames.

use crate::given::{V4, V6};
use lb_common::server::Method::{self, Ipip, Nat};
use lb_common::verdict::Reason::{ForwardedIpip, ForwardedNat, RepliedNat};
use lb_tests::program::{Case, LoadedProgram, ServerSpec, World, cases, sends, server};

const NAT: &str = include_str!("../fixtures/nat.txt");
const IPIP: &str = include_str!("../fixtures/ipip.txt");

/// Services 1 and 2 (TCP and UDP) of IPv4, 3 and 4 of IPv6, each with one server of the same number.
fn world(server: &ServerSpec) -> World {
    let server = || [server.clone()];
    World::new([V4.tcp(server()), V4.udp(server()), V6.tcp(server()), V6.udp(server())])
}

fn service_of(case: &Case) -> u32 {
    let v6 = case.name.contains("v6") || case.name.contains("_6in");
    1 + 2 * u32::from(v6) + u32::from(case.name.contains("udp"))
}

fn converse(case: &Case, method: Method, server: &ServerSpec) {
    let mut program = LoadedProgram::load(&world(server));
    let id = service_of(case);
    let reason = if method == Nat { ForwardedNat } else { ForwardedIpip };
    for (place, step) in case.steps.iter().enumerate() {
        let sent = step.sent.clone().expect("every packet of this file is sent on");
        let expected = if step.from_server {
            sends(RepliedNat, id, id, sent).replied()
        } else {
            sends(reason, id, id, sent)
        };
        program.expect(&step.frame, &if place == 0 { expected.opening() } else { expected });
    }
}

/// Runs `check` on every case whose name contains `part`; says which case failed.
fn each(text: &str, part: &str, wanted: usize, check: impl Fn(&Case)) {
    let cases: Vec<Case> = cases(text).into_iter().filter(|case| case.name.contains(part)).collect();
    assert_eq!(cases.len(), wanted, "cases of {part}");
    for case in &cases {
        println!("{}", case.name);
        check(case);
    }
}

fn nat(part: &str, wanted: usize) {
    each(NAT, part, wanted, |case| {
        let spec = server(Nat, case.address("server")).port(case.get("port").parse().unwrap());
        converse(case, Nat, &spec);
    });
}

fn ipip(part: &str, wanted: usize) {
    each(IPIP, part, wanted, |case| {
        converse(case, Ipip, &server(Ipip, case.address("server")).source(case.address("source")));
    });
}

#[test]
fn nat_of_tcp_v4_there_and_back() {
    nat("nat_v4_tcp_port", 2);
}

#[test]
fn nat_of_tcp_v6_there_and_back() {
    nat("nat_v6_tcp_port", 2);
}

#[test]
fn nat_of_udp_v4_there_and_back() {
    nat("nat_v4_udp_port", 2);
}

#[test]
fn nat_of_udp_v6_there_and_back() {
    nat("nat_v6_udp_port", 2);
}

#[test]
fn nat_leaves_a_missing_udp_checksum_missing() {
    nat("udp_without_checksum", 2);
}

#[test]
fn nat_sends_a_udp_checksum_of_zero_as_all_ones() {
    nat("udp_checksum_all_ones", 4);
}

#[test]
fn nat_sends_a_tcp_checksum_of_zero_as_zero() {
    nat("tcp_checksum_zero", 4);
}

#[test]
fn tunnel_4_in_4() {
    ipip("ipip_4in4", 12);
}

#[test]
fn tunnel_4_in_6() {
    ipip("ipip_4in6", 12);
}

#[test]
fn tunnel_6_in_4() {
    ipip("ipip_6in4", 8);
}

#[test]
fn tunnel_6_in_6() {
    ipip("ipip_6in6", 8);
}

#[test]
fn the_packet_builder_agrees_with_scapy() {
    let frames = [
        ("ipip_4in4_tcp_tos_b8_df_1", V4.syn().dont_fragment()),
        ("ipip_4in4_udp_tos_b8_df_1", V4.datagram().dont_fragment()),
        ("ipip_6in4_tcp_tos_b8_df_1", V6.syn()),
        ("ipip_6in4_udp_tos_b8_df_1", V6.datagram()),
    ];
    for (name, packet) in frames {
        let packet = packet.tos(0xb8).id(77).payload(b"seven b");
        let case = cases(IPIP).into_iter().find(|case| case.name == name).unwrap();
        assert_eq!(packet.build(), case.steps[0].frame, "{name}");
    }
}
