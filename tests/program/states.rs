//! What a flow meets, by the state of its server: the table of design.md, section 4.

use crate::given::{V4, returned};
use lb_common::server::Method::{Dr, Nat};
use lb_common::server::Server;
use lb_common::server::ServerState::{self, Down, Gone, NoNew, Up};
use lb_common::service::FLAG_KEEP_ON_DOWN;
use lb_common::verdict::Reason::{ForwardedDr, NoServer, ServerDown, ServerRemoved};
use lb_ctl::datapath::tables::Write;
use lb_tests::packet::{ACK, FIN, PacketBuilder, RST, SYN, tcp};
use lb_tests::program::{Expected, GENERATION, LoadedProgram, World, answers, drops, sends};

fn on(packet: &PacketBuilder, n: u32) -> Expected {
    sends(ForwardedDr, 1, n, V4.routed(packet, n as usize))
}

fn reset() -> Vec<u8> {
    returned(tcp(V4.vip, V4.client).flags(RST).sequence(5001).window(0).dont_fragment().id(0))
}

/// A flow that is known on server 1 (its packets before), its server's new state, and what its next packet meets.
fn after(flags: u8, known: &[PacketBuilder], state: ServerState, next: &PacketBuilder, expected: &Expected) {
    let udp = known.first().is_some_and(|packet| packet.build()[23] == 17);
    let servers = [1, 2].map(|n| V4.server(n, Dr));
    let service = if udp { V4.udp(servers) } else { V4.tcp(servers) };
    let mut program = LoadedProgram::load(&World::new([service.flags(flags)]));
    for packet in known {
        program.run(&packet.build());
    }
    program.apply(&[Write::ServerState(1, state)]);
    program.expect(&next.build(), expected);
}

macro_rules! rows {
    ($($name:ident: $flags:expr, $known:expr, $state:expr, $next:expr => $expected:expr;)*) => {
        $(#[test] fn $name() { after($flags, &$known, $state, &$next, &$expected); })*
    };
}

fn open() -> [PacketBuilder; 2] {
    [V4.syn(), V4.ack()]
}

fn closing() -> [PacketBuilder; 3] {
    [V4.syn(), V4.ack(), V4.flagged(FIN | ACK)]
}

fn asked() -> [PacketBuilder; 2] {
    [V4.datagram(), V4.datagram()]
}

rows! {
    known_tcp_up_stays: 0, open(), Up, V4.ack() => on(&V4.ack(), 1);
    known_tcp_no_new_stays: 0, open(), NoNew, V4.ack() => on(&V4.ack(), 1);
    known_tcp_down_is_reset: 0, open(), Down, V4.ack() => answers(ServerDown, reset());
    known_tcp_down_is_kept_if_asked: FLAG_KEEP_ON_DOWN, open(), Down, V4.ack() => on(&V4.ack(), 1);
    known_tcp_gone_is_reset: 0, open(), Gone, V4.ack() => answers(ServerRemoved, reset());
    known_tcp_gone_is_reset_always: FLAG_KEEP_ON_DOWN, open(), Gone, V4.ack() => answers(ServerRemoved, reset());
    reset_of_known_tcp_down_is_not_answered: 0, open(), Down, V4.flagged(RST) => drops(ServerDown);
    first_ack_no_new_stays: 0, [V4.syn()], NoNew, V4.ack() => on(&V4.ack(), 1);
    first_ack_down_is_reset: 0, [V4.syn()], Down, V4.ack() => answers(ServerDown, reset());
    first_ack_gone_is_reset: 0, [V4.syn()], Gone, V4.ack() => answers(ServerRemoved, reset());
    syn_again_no_new_stays: 0, [V4.syn()], NoNew, V4.syn() => on(&V4.syn(), 1);
    syn_again_down_moves: 0, [V4.syn()], Down, V4.syn() => on(&V4.syn(), 2).opening();
    syn_again_gone_moves: 0, [V4.syn()], Gone, V4.syn() => on(&V4.syn(), 2).opening();
    syn_on_open_no_new_stays: 0, open(), NoNew, V4.syn() => on(&V4.syn(), 1);
    syn_on_open_down_moves: 0, open(), Down, V4.syn() => on(&V4.syn(), 2).opening();
    syn_on_closing_no_new_moves: 0, closing(), NoNew, V4.syn() => on(&V4.syn(), 2).opening();
    known_udp_no_new_stays: 0, asked(), NoNew, V4.datagram() => on(&V4.datagram(), 1);
    known_udp_down_moves: 0, asked(), Down, V4.datagram() => on(&V4.datagram(), 2).opening();
    known_udp_down_moves_always: FLAG_KEEP_ON_DOWN, asked(), Down, V4.datagram() => on(&V4.datagram(), 2).opening();
    known_udp_gone_moves: 0, asked(), Gone, V4.datagram() => on(&V4.datagram(), 2).opening();
    new_udp_known_for_one_packet_moves: 0, [V4.datagram()], Down, V4.datagram() => on(&V4.datagram(), 2).opening();
    new_flow_no_new_goes_elsewhere: 0, [], NoNew, V4.syn() => on(&V4.syn(), 2).opening();
    new_flow_down_goes_elsewhere: 0, [], Down, V4.syn() => on(&V4.syn(), 2).opening();
    new_flow_gone_goes_elsewhere: 0, [], Gone, V4.syn() => on(&V4.syn(), 2).opening();
}

#[test]
fn no_server_is_left_when_none_is_up() {
    for state in [NoNew, Down, Gone] {
        let mut program = LoadedProgram::load(&World::new([V4.tcp([V4.server(1, Dr).state(state)])]));
        let reset =
            tcp(V4.vip, V4.client).flags(RST | ACK).acknowledgement(1).window(0).dont_fragment().id(0);
        program.expect(&V4.syn().build(), &answers(NoServer, returned(reset)));
    }
}

#[test]
fn a_connection_does_not_follow_its_id_to_another_server() {
    let mut program = LoadedProgram::load(&World::new([V4.tcp([V4.server(1, Dr), V4.server(2, Dr)])]));
    for packet in open() {
        program.run(&packet.build());
    }
    let other = program.datapath().snapshot().unwrap().servers[&1];
    let other = Server { generation: GENERATION + 1, address: V4.servers[2].into(), ..other };
    program.apply(&[Write::Server(1, other)]);
    program.expect(&V4.ack().build(), &answers(ServerRemoved, reset()));
}

#[test]
fn an_entry_that_names_a_server_of_another_service_is_not_followed() {
    let mut program = LoadedProgram::load(&World::new([V4.tcp([V4.server(1, Dr), V4.server(2, Dr)])]));
    for packet in open() {
        program.run(&packet.build());
    }
    let server = program.datapath().snapshot().unwrap().servers[&1];
    program.apply(&[Write::Server(1, Server { service: server.service + 1, ..server })]);
    program.expect(&V4.ack().build(), &answers(ServerRemoved, reset()));
}

#[test]
fn answers_of_a_removed_nat_server_go_nowhere() {
    let mut program = LoadedProgram::load(&World::new([V4.tcp([V4.server(1, Nat)])]));
    for packet in open() {
        program.run(&packet.build());
    }
    program.apply(&[Write::ServerState(1, Gone)]);
    let answer = tcp((V4.servers[0], 80).into(), V4.client).flags(SYN | ACK);
    program.expect(&answer.build(), &drops(ServerRemoved));
}
