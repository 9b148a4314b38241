//! Tables that are full, taken, or not there yet.

use crate::given::{V4, returned, twin};
use lb_common::index::{Indexed, place};
use lb_common::server::Method::{Dr, Nat};
use lb_common::server::ServerState;
use lb_common::verdict::Reason::{
    ForwardedDr, NatTupleTaken, NotAService, NotReady, NotRemembered, TableFull,
};
use lb_ctl::datapath::tables::Write;
use lb_tests::packet::{PacketBuilder, RST, SYN, tcp, udp};
use lb_tests::program::{LoadedProgram, World, answers, passes, sends};
use std::net::{Ipv4Addr, SocketAddr};

/// Flow number `n` of some client.
fn flow(n: u32) -> PacketBuilder {
    let client = SocketAddr::new(Ipv4Addr::from_bits(0x6440_0000 + n).into(), 40_000);
    udp(client, V4.vip).payload(b"question")
}

/// Fills `CONNECTIONS` with UDP flows of service 2.
fn fill(program: &mut LoadedProgram) {
    for n in 0..100_000 {
        let frame = flow(n).build();
        program.run(&frame);
        program.run(&frame);
        if n % 256 == 0
            && program
                .datapath()
                .counted()
                .unwrap()
                .reasons
                .iter()
                .any(|(reason, _, count)| matches!(reason, NotRemembered | TableFull) && count.packets > 0)
        {
            return;
        }
    }
    panic!("100,000 flows do not fill the table");
}

#[test]
fn a_full_table_forwards_what_it_does_not_remember() {
    let mut program = LoadedProgram::load(&V4.both(Dr));
    fill(&mut program);
    program.expect(&V4.syn().build(), &sends(ForwardedDr, 1, 1, V4.routed(&V4.syn(), 1)).opening());
    let expected = sends(ForwardedDr, 1, 1, V4.routed(&V4.ack(), 1)).noting(NotRemembered);
    program.expect(&V4.ack().build(), &expected);
    program.expect(&V4.ack().build(), &expected);
}

#[test]
fn a_full_table_refuses_a_nat_connection_and_leaves_no_half_of_it() {
    let mut program = LoadedProgram::load(&V4.both(Nat));
    fill(&mut program);
    let mut entries = 0;
    program.datapath().for_each_connection(|_, _| entries += 1).unwrap();
    program.run(&V4.syn().build());
    let reset = tcp(V4.vip, V4.client).flags(RST).sequence(5001).window(0).dont_fragment().id(0);
    program.expect(&V4.ack().build(), &answers(TableFull, returned(reset)));
    let mut after = 0;
    program.datapath().for_each_connection(|_, _| after += 1).unwrap();
    assert_eq!(after, entries);
}

#[test]
fn two_services_may_not_share_a_servers_end_of_a_flow() {
    let other = SocketAddr::new(V4.vip.ip(), 81);
    let second = lb_tests::program::service(lb_common::flow::TCP, other).with(V4.server(1, Nat).port(80));
    let mut program = LoadedProgram::load(&World::new([V4.tcp([V4.server(1, Nat)]), second]));
    program.run(&V4.syn().build());
    let reset = tcp(other, V4.client).flags(RST | 0x10).acknowledgement(1).window(0).dont_fragment().id(0);
    program.expect(&tcp(V4.client, other).build(), &answers(NatTupleTaken, returned(reset)));
}

#[test]
fn another_server_is_taken_when_the_first_ones_end_of_the_flow_is() {
    let other = SocketAddr::new(V4.vip.ip(), 81);
    let servers = [V4.server(1, Nat).port(80), V4.server(2, Nat).port(80)];
    let second = servers
        .into_iter()
        .fold(lb_tests::program::service(lb_common::flow::TCP, other), |service, server| {
            service.with(server)
        });
    let mut program = LoadedProgram::load(&World::new([V4.tcp([V4.server(1, Nat)]), second]));
    program.run(&V4.syn().build());
    program.run(&tcp(V4.client, other).build());
    let servers = program.counters().servers;
    assert_eq!(servers.get(&3).map(|traffic| traffic.connections), Some(1), "{servers:?}");
}

#[test]
fn a_removed_server_does_not_keep_the_servers_end_of_a_flow() {
    let other = SocketAddr::new(V4.vip.ip(), 81);
    let second = lb_tests::program::service(lb_common::flow::TCP, other).with(V4.server(1, Nat).port(80));
    let mut program = LoadedProgram::load(&World::new([V4.tcp([V4.server(1, Nat)]), second]));
    program.run(&V4.syn().build());
    program.run(&V4.ack().build());
    program.apply(&[Write::ServerState(1, ServerState::Gone)]);
    program.run(&tcp(V4.client, other).build());
    let servers = program.counters().servers;
    assert_eq!(servers.get(&2).map(|traffic| traffic.connections), Some(1), "{servers:?}");
}

#[test]
fn a_service_without_a_view_passes() {
    let mut program = LoadedProgram::load(&V4.both(Dr));
    program.apply(&[Write::Service(1, 0)]);
    program.expect(&V4.syn().build(), &passes(NotAService));
}

#[test]
fn a_key_that_leads_to_another_service_passes() {
    let mut program = LoadedProgram::load(&V4.both(Dr));
    let key =
        program.datapath().snapshot().unwrap().service_keys.into_iter().find(|(_, id)| *id == 1).unwrap().0;
    program.apply_keys([(key, Some(2))]);
    program.expect(&V4.syn().build(), &passes(NotReady));
    program.apply_keys([(key, None)]);
    program.expect(&V4.syn().build(), &passes(NotAService));
}

#[test]
fn keys_that_share_a_place_in_the_index_are_told_apart() {
    let mut program = LoadedProgram::load(&V4.both(Dr));
    let tables = program.datapath().snapshot().unwrap();
    let (key, _) = tables.service_keys.iter().find(|(_, id)| **id == 1).unwrap();
    let (twin, vip) = twin(key);
    let elsewhere = SocketAddr::from((vip, key.port.get()));
    let stranger = tcp(V4.client, elsewhere).flags(SYN).build();
    let ours = sends(ForwardedDr, 1, 1, V4.routed(&V4.syn(), 1));
    program.expect(&V4.syn().build(), &ours.clone().opening());
    let word = |program: &LoadedProgram| program.datapath().snapshot().unwrap().service_index[&place(key)];
    // The word is of one key, of two, and of one again.
    for (id, two) in [(None, false), (Some(2), true), (None, false)] {
        program.apply_keys([(twin, id)]);
        assert_eq!(word(&program) == Indexed::SEVERAL, two);
        program.expect(&V4.syn().build(), &ours);
        // Service 2 has another VIP.
        program.expect(&stranger, &passes(NotAService));
    }
}

#[test]
fn an_empty_program_passes_everything() {
    let mut program = LoadedProgram::load(&World::new([]));
    program.expect(&V4.syn().build(), &passes(NotAService));
    program.expect(&V4.datagram().build(), &passes(NotAService));
}
