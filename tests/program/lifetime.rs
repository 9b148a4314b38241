//! A connection stays on its server from its first packet to its last, and the next one is scheduled anew.

use crate::given::{V4, returned};
use lb_common::server::Method::{Dr, Nat};
use lb_common::service::Timeouts;
use lb_common::verdict::Reason::{ForwardedDr, NoConnection};
use lb_tests::lab::wait_until;
use lb_tests::packet::{ACK, FIN, PacketBuilder, RST, SYN, tcp};
use lb_tests::program::{Expected, LoadedProgram, World, answers, sends};
use std::time::{Duration, Instant};

/// Three dr servers in turn: 1, 2, 3.
fn program() -> LoadedProgram {
    LoadedProgram::load(&World::new([V4.three()]))
}

/// `packet` goes to server `n`.
fn on(packet: &PacketBuilder, n: u32) -> Expected {
    sends(ForwardedDr, 1, n, V4.routed(packet, n as usize))
}

fn reset(sequence: u32) -> Vec<u8> {
    returned(tcp(V4.vip, V4.client).flags(RST).sequence(sequence).window(0).dont_fragment().id(0))
}

#[test]
fn it_stays_while_slots_change() {
    let mut program = program();
    program.expect(&V4.syn().build(), &on(&V4.syn(), 1).opening());
    program.reschedule(1, &[0, 0, 7]);
    for packet in [V4.ack(), V4.ack().payload(b"GET /"), V4.flagged(FIN | ACK), V4.ack()] {
        program.expect(&packet.build(), &on(&packet, 1));
    }
    let next = tcp(V4.client_at(50_000), V4.vip);
    program.expect(&next.build(), &on(&next, 3).opening());
}

#[test]
fn it_stays_while_slots_change_before_the_handshake_ends() {
    let mut program = program();
    program.expect(&V4.syn().build(), &on(&V4.syn(), 1).opening());
    program.reschedule(1, &[0, 1, 0]);
    program.expect(&V4.syn().build(), &on(&V4.syn(), 1));
    program.expect(&V4.ack().build(), &on(&V4.ack(), 1));
}

#[test]
fn a_service_without_any_slot_keeps_its_connections() {
    let mut program = program();
    program.expect(&V4.syn().build(), &on(&V4.syn(), 1).opening());
    program.reschedule(1, &[0, 0, 0]);
    program.expect(&V4.ack().build(), &on(&V4.ack(), 1));
}

#[test]
fn a_syn_on_a_closing_connection_is_scheduled_anew() {
    for closing in [V4.flagged(FIN | ACK), V4.flagged(RST), V4.flagged(RST | ACK)] {
        let mut program = program();
        program.expect(&V4.syn().build(), &on(&V4.syn(), 1).opening());
        program.expect(&V4.ack().build(), &on(&V4.ack(), 1));
        program.expect(&closing.build(), &on(&closing, 1));
        program.expect(&V4.syn().build(), &on(&V4.syn(), 2).opening());
        program.expect(&V4.ack().build(), &on(&V4.ack(), 2));
    }
}

#[test]
fn a_syn_on_an_open_connection_changes_nothing() {
    let mut program = program();
    program.expect(&V4.syn().build(), &on(&V4.syn(), 1).opening());
    program.expect(&V4.ack().build(), &on(&V4.ack(), 1));
    program.expect(&V4.syn().build(), &on(&V4.syn(), 1));
}

#[test]
fn only_a_bare_syn_opens() {
    for flags in 0..0x20_u8 {
        let opens = flags & (SYN | ACK | RST | FIN) == SYN;
        let mut program = program();
        let packet = V4.syn().flags(flags);
        let (action, _) = program.run(&packet.build());
        let counters = program.counters();
        assert_eq!(
            counters.reasons.contains_key(&("forwarded-dr", false)),
            opens,
            "flags {flags:02x}: {action:?}"
        );
        assert_eq!(connections(&program), (0, usize::from(opens)), "flags {flags:02x}");
    }
}

/// Entries in `CONNECTIONS` and in `HALF_OPEN`.
fn connections(program: &LoadedProgram) -> (usize, usize) {
    let (mut connections, mut half_open) = (0, 0);
    program.datapath().for_each_connection(|_, _| connections += 1).unwrap();
    program.datapath().for_each_half_open(|_, _| half_open += 1).unwrap();
    (connections, half_open)
}

#[test]
fn the_second_packet_makes_it_a_connection() {
    for (method, sides) in [(Dr, 1), (Nat, 2)] {
        for (first, second) in [(V4.syn(), V4.ack()), (V4.datagram(), V4.datagram())] {
            let mut program = LoadedProgram::load(&V4.both(method));
            program.run(&first.build());
            assert_eq!(connections(&program), (0, sides), "{method:?}, after the first packet");
            program.run(&first.build());
            program.run(&second.build());
            assert_eq!(connections(&program), (sides, 0), "{method:?}, after the second packet");
        }
    }
}

#[test]
fn a_syn_sent_again_stays_half_open() {
    let mut program = program();
    for _ in 0..5 {
        program.run(&V4.syn().build());
    }
    assert_eq!(connections(&program), (0, 1));
}

#[test]
fn a_segment_of_no_connection_is_reset_and_not_remembered() {
    let mut program = program();
    program.expect(&V4.ack().build(), &answers(NoConnection, reset(5001)));
    assert_eq!(connections(&program), (0, 0));
}

#[test]
fn each_client_port_is_a_connection_of_its_own() {
    let mut program = program();
    for port in 0..6_u16 {
        let packet = tcp(V4.client_at(50_000 + port), V4.vip);
        program.expect(&packet.build(), &on(&packet, u32::from(port) % 3 + 1).opening());
    }
}

#[test]
fn a_udp_flow_stays_on_its_server() {
    let servers = [1, 2, 3].map(|n| V4.server(n, Dr));
    let mut program = LoadedProgram::load(&World::new([V4.udp(servers)]));
    program.expect(&V4.datagram().build(), &on(&V4.datagram(), 1).opening());
    program.reschedule(1, &[0, 1, 1]);
    for _ in 0..3 {
        program.expect(&V4.datagram().build(), &on(&V4.datagram(), 1));
    }
}

#[test]
fn a_handshake_that_takes_too_long_is_forgotten() {
    let timeouts = Timeouts { syn: 20, udp: 20, ..Timeouts::default() };
    let service = V4.three().timeouts(timeouts);
    for next in [V4.ack(), V4.syn()] {
        let mut program = LoadedProgram::load(&World::new([service.clone()]));
        program.expect(&V4.syn().build(), &on(&V4.syn(), 1).opening());
        // The program's clock is coarse: it may stand still for 10 ms.
        let start = Instant::now();
        wait_until(Duration::from_secs(5), "40 ms", || start.elapsed() > Duration::from_millis(40)).unwrap();
        let opens = next.build() == V4.syn().build();
        let expected = if opens { on(&next, 2).opening() } else { answers(NoConnection, reset(5001)) };
        program.expect(&next.build(), &expected);
    }
}
