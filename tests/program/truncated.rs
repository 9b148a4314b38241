//! Every prefix of a valid frame passes untouched, with its reason.

use crate::given::{V4, V6};
use lb_common::server::Method::{Dr, Ipip, Nat};
use lb_common::verdict::Reason::{NotAService, Truncated};
use lb_tests::packet::PacketBuilder;
use lb_tests::program::{LoadedDecap, LoadedProgram, World, passes, sends};

/// The shortest frame that `BPF_PROG_TEST_RUN` takes is an Ethernet header.
const SHORTEST: usize = 14;

fn every_prefix_passes(world: &World, packet: &PacketBuilder) {
    let mut program = LoadedProgram::load(world);
    let frame = packet.build();
    for len in SHORTEST..frame.len() {
        program.expect(&frame[..len], &passes(Truncated));
    }
}

#[test]
fn every_prefix_of_tcp_v4() {
    every_prefix_passes(&V4.both(Dr), &V4.syn().payload_len(33));
}

#[test]
fn every_prefix_of_udp_v4() {
    every_prefix_passes(&V4.both(Nat), &V4.datagram());
}

#[test]
fn every_prefix_of_tcp_v6() {
    every_prefix_passes(&V6.both(Ipip), &V6.syn().tcp_options(&[1; 40]));
}

#[test]
fn every_prefix_of_udp_v6() {
    every_prefix_passes(&V6.both(Dr), &V6.datagram());
}

#[test]
fn every_prefix_of_a_nat_answer() {
    let mut program = LoadedProgram::load(&V4.both(Nat));
    program.run(&V4.syn().build());
    let answer = lb_tests::packet::tcp((V4.servers[0], 80).into(), V4.client).flags(0x12).build();
    for len in SHORTEST..answer.len() {
        program.expect(&answer[..len], &passes(Truncated));
    }
}

#[test]
fn every_prefix_of_a_tunnel() {
    let program = LoadedDecap::load(&[V4.servers[0]], &[V6.vip.ip()]);
    let frame = V6.datagram().tunnelled(V4.director, V4.servers[0]).build();
    for len in SHORTEST..SHORTEST + 20 + 40 {
        program.expect(&frame[..len], &passes(Truncated));
    }
}

#[test]
fn a_whole_frame_is_not_truncated() {
    let mut program = LoadedProgram::load(&V4.both(Dr));
    let shortest = V4.syn();
    program.expect(
        &shortest.build(),
        &sends(lb_common::verdict::Reason::ForwardedDr, 1, 1, V4.routed(&shortest, 1)).opening(),
    );
    let elsewhere = lb_tests::packet::udp(V4.client, (V4.director, 9).into());
    program.expect(&elsewhere.build(), &passes(NotAService));
}
