//! Out of another interface, to another router, and back the way the client came.

use crate::given::V4;
use lb_common::server::Method::{Dr, Ipip, Nat};
use lb_common::server::NextHop;
use lb_common::verdict::Reason::{ForwardedDr, ForwardedIpip, ForwardedNat, RepliedNat};
use lb_ctl::datapath::tables::Write;
use lb_tests::packet::{ACK, DIRECTOR_MAC, PacketBuilder, SYN, tcp, udp};
use lb_tests::program::{
    Action, FIRST, LoadedProgram, SECOND, SECOND_MAC, World, mac_of, second_interface, sends,
};

#[test]
fn a_server_behind_another_interface_is_reached_through_it() {
    second_interface();
    for (method, reason) in [(Dr, ForwardedDr), (Ipip, ForwardedIpip), (Nat, ForwardedNat)] {
        let world = World::new([V4.tcp([V4.server(1, method).device(SECOND)])]).with_second_interface();
        let mut program = LoadedProgram::load(&world);
        let sent = match method {
            Dr => V4.syn().ttl(63),
            Nat => tcp(V4.client, (V4.servers[0], 80).into()).ttl(63),
            Ipip => V4.syn().ttl(63).tunnelled(V4.director, V4.servers[0]),
        };
        let sent = sent.macs(SECOND_MAC, mac_of(V4.servers[0])).build();
        program.expect(&V4.syn().build(), &sends(reason, 1, 1, sent).opening().redirected());
    }
}

#[test]
fn a_device_that_went_away_is_a_drop_and_not_a_packet_forwarded() {
    second_interface();
    let world = World::new([V4.tcp([V4.server(1, Dr).device(SECOND)])]).with_second_interface();
    let mut program = LoadedProgram::load(&world);
    let status = std::process::Command::new("ip").args(["link", "delete", "second"]).status().unwrap();
    assert!(status.success());
    let frame = V4.syn().build();
    assert_eq!(program.run(&frame).0, Action::Drop);
    let counters = program.counters();
    assert_eq!(counters.reasons.keys().collect::<Vec<_>>(), [&("no-device", false)]);
    assert!(counters.servers.is_empty());
}

#[test]
fn a_new_next_hop_counts_at_once() {
    let mut program = LoadedProgram::load(&World::new([V4.tcp([V4.server(1, Dr)])]));
    program.expect(&V4.syn().build(), &sends(ForwardedDr, 1, 1, V4.routed(&V4.syn(), 1)).opening());
    let mac = [2, 0, 0, 0, 0x99, 0x99];
    program.apply(&[Write::NextHop(1, NextHop { mac, device: FIRST })]);
    let sent = V4.ack().ttl(63).macs(DIRECTOR_MAC, mac).build();
    program.expect(&V4.ack().build(), &sends(ForwardedDr, 1, 1, sent));
}

/// The client's packets come from one router, the last of them from another: the answer goes to that.
fn answers_follow(world: &World, packets: &[PacketBuilder], answer: &PacketBuilder, back: &PacketBuilder) {
    let mut program = LoadedProgram::load(world);
    let back = |router| back.clone().ttl(63).macs(DIRECTOR_MAC, router).build();
    let (first, second) = ([2, 0, 0, 0, 0xaa, 1], [2, 0, 0, 0, 0xaa, 2]);
    let (last, before) = packets.split_last().unwrap();
    for packet in before {
        program.run(&packet.clone().macs(first, DIRECTOR_MAC).build());
    }
    program.expect(&answer.build(), &sends(RepliedNat, 1, 1, back(first)).replied());
    program.run(&last.clone().macs(second, DIRECTOR_MAC).build());
    program.expect(&answer.build(), &sends(RepliedNat, 1, 1, back(second)).replied());
}

#[test]
fn nat_answers_follow_the_client_to_another_router() {
    let server = (V4.servers[0], 80).into();
    let tcp_answers = [SYN | ACK, ACK].map(|flags| (tcp(server, V4.client), tcp(V4.vip, V4.client), flags));
    let [opening, open] = tcp_answers.map(|(answer, back, flags)| (answer.flags(flags), back.flags(flags)));
    let world = World::new([V4.tcp([V4.server(1, Nat)])]);
    answers_follow(&world, &[V4.syn(), V4.ack()], &opening.0, &opening.1);
    answers_follow(&world, &[V4.syn(), V4.ack(), V4.ack()], &open.0, &open.1);
    let world = World::new([V4.udp([V4.server(1, Nat)])]);
    let datagrams = [V4.datagram(), V4.datagram(), V4.datagram()];
    answers_follow(&world, &datagrams, &udp(server, V4.client), &udp(V4.vip, V4.client));
}
