//! While tables are copied, what is not found waits for the copy: nothing is answered, nothing reaches the host.

use crate::given::V4;
use lb_common::maps::MAX_HOLD_MS;
use lb_common::server::Method::{Dr, Nat};
use lb_common::verdict::Reason::{ForwardedDr, Migrating, NoConnection, NotAService};
use lb_ctl::datapath::now_ms;
use lb_tests::packet::{ACK, RST, tcp, udp};
use lb_tests::program::{LoadedProgram, World, drops, passes, sends};
use std::net::SocketAddr;

/// The program with a TCP and a UDP service, held from now on.
fn held(method: lb_common::server::Method) -> LoadedProgram {
    let program = LoadedProgram::load(&V4.both(method));
    program.datapath().hold_until(now_ms().unwrap().wrapping_add(MAX_HOLD_MS)).unwrap();
    program
}

#[test]
fn unknown_packets_of_a_service_are_dropped_without_an_answer() {
    let mut program = held(Dr);
    for packet in [V4.ack(), V4.flagged(RST), V4.datagram()] {
        program.expect(&packet.build(), &drops(Migrating));
    }
}

#[test]
fn a_connection_opens_and_goes_on() {
    let mut program = held(Dr);
    let syn = V4.syn();
    program.expect(&syn.build(), &sends(ForwardedDr, 1, 1, V4.routed(&syn, 1)).opening());
    let ack = V4.ack();
    program.expect(&ack.build(), &sends(ForwardedDr, 1, 1, V4.routed(&ack, 1)));
}

#[test]
fn an_answer_of_a_nat_server_waits_and_other_traffic_passes() {
    let mut program = held(Nat);
    let server = SocketAddr::new(V4.servers[0], 80);
    for packet in [tcp(server, V4.client).flags(ACK), udp(server, V4.client)] {
        program.expect(&packet.build(), &drops(Migrating));
    }
    let stranger = SocketAddr::new(V4.servers[2], 80);
    program.expect(&tcp(stranger, V4.client).build(), &passes(NotAService));
}

#[test]
fn a_hold_ends_by_itself() {
    let mut program = LoadedProgram::load(&World::new([V4.three()]).answers_per_second(0));
    for until in [now_ms().unwrap(), 0, now_ms().unwrap().wrapping_add(2 * MAX_HOLD_MS)] {
        program.datapath().hold_until(until).unwrap();
        program.expect(&V4.ack().build(), &drops(NoConnection));
    }
}
