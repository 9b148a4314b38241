//! What a client gets that cannot be served: bytes from scapy, the rate, and silence where it is asked for.

use crate::given::{V4, V6, error_v4};
use lb_common::server::Interface;
use lb_common::server::Method::{Dr, Nat};
use lb_common::server::ServerState::Down;
use lb_common::service::FLAG_SILENT;
use lb_common::verdict::Reason::{self, NoConnection, NoDevice, NoServer, TtlExpired};
use lb_ctl::datapath::tables::Write;
use lb_tests::packet::{ACK, RST, SYN, tcp};
use lb_tests::program::{
    Action, Case, FIRST, LoadedProgram, ServerSpec, Service, World, address, answers, cases, drops,
};

const ANSWERS: &str = include_str!("../fixtures/answers.txt");

/// All four services with the kind of servers that a case asks for.
fn world(servers: &str) -> World {
    let mut specs = [V4.server(1, Dr), V6.server(1, Dr)];
    specs = match servers {
        "up" => specs,
        "narrow" => specs.map(|spec| spec.mtu(1400)),
        "none" => specs.map(|spec| spec.state(Down)),
        other => panic!("{other} is no kind of servers"),
    };
    let [v4, v6] = specs;
    World::new([V4.tcp([v4.clone()]), V4.udp([v4]), V6.tcp([v6.clone()]), V6.udp([v6])])
}

fn reason(case: &Case) -> Reason {
    Reason::ALL.iter().copied().find(|reason| reason.word() == case.get("reason")).unwrap()
}

#[test]
fn errors_and_resets_are_what_scapy_says() {
    let cases = cases(ANSWERS);
    assert_eq!(cases.len(), 20);
    for case in &cases {
        println!("{}", case.name);
        let mut program = LoadedProgram::load(&world(case.get("servers")));
        // A packet that is too big must be of a known connection, or open one.
        for step in &case.steps {
            program.expect(&step.frame, &answers(reason(case), step.sent.clone().unwrap()));
        }
    }
}

/// One service over TCP and one over UDP whose only server is down, and which say nothing about it.
fn silent() -> World {
    let down = |spec: ServerSpec| [spec.state(Down)];
    let quiet = |service: Service| service.flags(FLAG_SILENT);
    World::new([quiet(V4.tcp(down(V4.server(1, Dr)))), quiet(V4.udp(down(V4.server(1, Dr))))])
}

mod silence {
    use super::*;

    cases! { silent();
        syn => V4.syn(), drops(NoServer);
        unknown_segment => V4.ack(), drops(NoConnection);
        datagram => V4.datagram(), drops(NoServer);
        time_exceeded_is_said_by_every_router => V4.syn().ttl(1),
            answers(TtlExpired, error_v4(11, 0, 0, &V4.syn().ttl(1)));
    }
}

mod refusals {
    use super::*;

    fn reset_of_ack() -> Vec<u8> {
        crate::given::returned(
            tcp(V4.vip, V4.client).flags(RST).sequence(5001).window(0).dont_fragment().id(0),
        )
    }

    fn reset_of_syn() -> Vec<u8> {
        let reset = tcp(V4.vip, V4.client).flags(RST | ACK).acknowledgement(1).window(0);
        crate::given::returned(reset.dont_fragment().id(0))
    }

    cases! { V4.both(Dr);
        unknown_ack => V4.ack(), answers(NoConnection, reset_of_ack());
        unknown_syn_ack => V4.flagged(SYN | ACK), answers(NoConnection, reset_of_ack());
        padding_does_not_count_as_data => V4.ack().padded(60), answers(NoConnection, reset_of_ack());
        a_reset_is_never_answered => V4.flagged(RST), drops(NoConnection);
        a_reset_with_ack_is_never_answered => V4.flagged(RST | ACK), drops(NoConnection);
        a_reset_with_syn_is_never_answered => V4.flagged(RST | SYN), drops(NoConnection);
    }

    #[test]
    fn a_service_without_slots_has_no_server() {
        let mut program = LoadedProgram::load(&World::new([V4.tcp([V4.server(1, Dr).weight(0)])]));
        program.expect(&V4.syn().build(), &answers(NoServer, reset_of_syn()));
    }

    #[test]
    fn a_server_whose_next_hop_is_unknown_gets_no_new_connection() {
        for method in [Dr, Nat] {
            let mut program = LoadedProgram::load(&World::new([V4.tcp([V4.server(1, method).device(0)])]));
            program.expect(&V4.syn().build(), &answers(NoServer, reset_of_syn()));
        }
    }

    #[test]
    fn a_server_by_an_unknown_device_is_not_reached() {
        let mut program = LoadedProgram::load(&World::new([V4.tcp([V4.server(1, Dr).device(9)])]));
        program.expect(&V4.syn().build(), &drops(NoDevice));
    }

    #[test]
    fn a_packet_that_came_in_by_an_unknown_interface_goes_nowhere() {
        let mut program = LoadedProgram::load(&V4.both(Dr));
        program.apply(&[Write::Interface(FIRST, Interface::default())]);
        program.expect(&V4.syn().build(), &drops(NoDevice));
        program.expect(&V4.datagram().build(), &drops(NoDevice));
    }

    #[test]
    fn nobody_is_answered_who_is_not_one_host() {
        let mut program = LoadedProgram::load(&World::new([V4.tcp([]), V6.tcp([])]));
        for source in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.10"] {
            program.expect(&tcp((address(source), 9).into(), V4.vip).build(), &drops(NoServer));
        }
        for source in ["::", "::1", "ff02::1", "2001:db8::10"] {
            program.expect(&tcp((address(source), 9).into(), V6.vip).build(), &drops(NoServer));
        }
    }
}

#[test]
fn answers_end_with_the_allowance_of_a_second() {
    let mut program = LoadedProgram::load(&V4.both(Dr).answers_per_second(5));
    let frame = V4.ack().build();
    let answered = (0..50).filter(|_| program.run(&frame).0 == Action::Tx).count();
    // A slow machine may take long enough for one more.
    assert!((5..=6).contains(&answered), "{answered} of 50 were answered");
    let counters = program.counters();
    assert_eq!(counters.reasons[&("no-connection", false)].packets, 50 - answered as u64);
    assert_eq!(counters.reasons[&("no-connection", true)].packets, answered as u64);
}

#[test]
fn an_allowance_of_nothing_answers_nobody() {
    let mut program = LoadedProgram::load(&V4.both(Dr).answers_per_second(0));
    program.expect(&V4.ack().build(), &drops(NoConnection));
    program.expect(&V4.datagram().ttl(1).build(), &drops(TtlExpired));
}
