//! Frames that a switch flooded or that everybody gets: for another machine, they pass, whatever is in them.

use crate::given::{V4, V6};
use lb_common::server::Method::{Dr, Nat};
use lb_common::verdict::Reason::{OtherMac, RepliedNat, TtlExpired};
use lb_tests::packet::{ACK, Mac, SYN, tcp};
use lb_tests::program::{LoadedProgram, SECOND_MAC, World, drops, passes, sends};

const BROADCAST: Mac = [0xff; 6];
const MULTICAST: Mac = [1, 0, 0x5e, 0, 0, 1];

cases! { V4.both(Dr);
    syn_for_another_machine => V4.syn().to_mac([2, 0, 0, 0, 0, 0x77]), passes(OtherMac);
    segment_for_another_machine => V4.ack().to_mac([2, 0, 0, 0, 0, 0x77]), passes(OtherMac);
    datagram_for_another_machine => V4.datagram().to_mac([2, 0, 0, 0, 0, 0x77]), passes(OtherMac);
    ttl_1_for_another_machine => V4.syn().ttl(1).to_mac([2, 0, 0, 0, 0, 0x77]), passes(OtherMac);
    for_another_interface_of_the_director => V4.syn().to_mac(SECOND_MAC), passes(OtherMac);
    broadcast => V4.datagram().to_mac(BROADCAST), passes(OtherMac);
    multicast => V4.datagram().to_mac(MULTICAST), passes(OtherMac);
}

#[test]
fn a_known_connection_does_not_change_that() {
    for family in [&*V4, &*V6] {
        let mut program = LoadedProgram::load(&family.both(Dr));
        program.run(&family.syn().build());
        program.run(&family.ack().build());
        program.expect(&family.ack().to_mac([2, 0, 0, 0, 0, 0x77]).build(), &passes(OtherMac));
    }
}

#[test]
fn an_answer_of_a_nat_server_for_another_machine_passes() {
    let mut program = LoadedProgram::load(&World::new([V4.tcp([V4.server(1, Nat)])]));
    program.run(&V4.syn().build());
    let answer = tcp((V4.servers[0], 80).into(), V4.client).flags(SYN | ACK);
    program.expect(&answer.clone().to_mac(BROADCAST).build(), &passes(OtherMac));
    let back = crate::given::returned(tcp(V4.vip, V4.client).flags(SYN | ACK).ttl(63));
    program.expect(&answer.build(), &sends(RepliedNat, 1, 1, back).replied());
}

#[test]
fn an_answer_of_a_nat_server_dies_with_its_ttl() {
    let mut program = LoadedProgram::load(&World::new([V4.tcp([V4.server(1, Nat)])]));
    program.run(&V4.syn().build());
    for ttl in [0, 1] {
        let answer = tcp((V4.servers[0], 80).into(), V4.client).flags(SYN | ACK).ttl(ttl);
        program.expect(&answer.build(), &drops(TtlExpired));
    }
}
