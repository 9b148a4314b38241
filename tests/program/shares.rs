//! Who gets how much: wrr and rr exactly in each turn, mh and sh within two points over 10,000 flows.

use crate::given::{Family, V4, V6};
use lb_common::scheduler::Scheduler::{self, Mh, Rr, Sh, Wrr};
use lb_common::server::Method::Dr;
use lb_tests::packet::tcp;
use lb_tests::program::{Action, LoadedProgram, World};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

fn program(family: &Family, scheduler: Scheduler, weights: [u32; 3]) -> LoadedProgram {
    let servers = [1, 2, 3].map(|n| family.server(n, Dr).weight(weights[n - 1]));
    LoadedProgram::load(&World::new([family.tcp(servers).scheduler(scheduler)]))
}

/// New connections of servers 1 to 3 since the program was loaded.
fn connections(program: &LoadedProgram) -> [u64; 3] {
    let counters = program.counters();
    [1, 2, 3].map(|id| counters.servers.get(&id).map_or(0, |traffic| traffic.connections))
}

/// Opens connections number `flows` of as many clients, each from a port of its own.
fn open(program: &mut LoadedProgram, family: &Family, flows: std::ops::Range<u32>) {
    for n in flows {
        let port = u16::try_from(n % 50_000).unwrap() + 10_000;
        let frame = tcp(SocketAddr::new(client(family, n), port), family.vip).build();
        assert_eq!(program.run(&frame).0, Action::Tx);
    }
}

/// Client number `n` of this family.
fn client(family: &Family, n: u32) -> IpAddr {
    match family.client.ip() {
        IpAddr::V4(_) => Ipv4Addr::from_bits(0x6440_0000 + n).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() + u128::from(n)).into(),
    }
}

#[test]
fn a_turn_is_exact() {
    for (scheduler, weights, turn) in [
        (Wrr, [3, 2, 1], [3, 2, 1]),
        (Wrr, [30, 0, 10], [3, 0, 1]),
        (Wrr, [1, 1, 65], [1, 1, 65]),
        (Rr, [3, 2, 1], [1, 1, 1]),
    ] {
        let mut program = program(&V4, scheduler, weights);
        let len: u64 = turn.iter().sum();
        let len = u32::try_from(len).unwrap();
        for turns in 1..=3_u32 {
            open(&mut program, &V4, (turns - 1) * len..turns * len);
            assert_eq!(
                connections(&program),
                turn.map(|share| share * u64::from(turns)),
                "{scheduler:?} {weights:?}"
            );
        }
    }
}

#[test]
fn a_turn_goes_on_where_it_was_when_slots_are_swapped() {
    let mut program = program(&V4, Rr, [1, 1, 1]);
    open(&mut program, &V4, 0..4);
    program.reschedule(1, &[1, 1, 1]);
    open(&mut program, &V4, 4..6);
    assert_eq!(connections(&program), [2, 2, 2]);
}

#[test]
fn hashes_are_within_two_points_of_the_weights() {
    const FLOWS: u32 = 10_000;
    for family in [&*V4, &*V6] {
        for scheduler in [Mh, Sh] {
            for weights in [[1, 1, 1], [3, 2, 1], [1, 0, 9]] {
                let mut program = program(family, scheduler, weights);
                open(&mut program, family, 0..FLOWS);
                let total: u32 = weights.iter().sum();
                for (got, weight) in connections(&program).into_iter().zip(weights) {
                    let wanted = u64::from(FLOWS * weight / total);
                    let two_points = u64::from(FLOWS / 50);
                    assert!(
                        got.abs_diff(wanted) <= two_points,
                        "{scheduler:?} {weights:?}: {got}, wanted {wanted}"
                    );
                }
            }
        }
    }
}

#[test]
fn sh_keeps_a_client_on_one_server_and_mh_does_not() {
    for (scheduler, servers) in [(Sh, 1), (Mh, 3)] {
        let mut program = program(&V4, scheduler, [1, 1, 1]);
        for port in 10_000..10_100 {
            program.run(&tcp(V4.client_at(port), V4.vip).build());
        }
        let used = connections(&program).into_iter().filter(|count| *count > 0).count();
        assert_eq!(used, servers, "{scheduler:?}");
    }
}

#[test]
fn a_server_that_leaves_takes_only_its_own_flows_along() {
    let place = |program: &mut LoadedProgram, n: u32| -> [u64; 3] {
        let before = connections(program);
        open(program, &V4, n..n + 1);
        let after = connections(program);
        [0, 1, 2].map(|n| after[n] - before[n])
    };
    let (mut all, mut two) = (program(&V4, Mh, [1, 1, 1]), program(&V4, Mh, [1, 1, 0]));
    let moved = (0..600).filter(|n| {
        let (was, is) = (place(&mut all, *n), place(&mut two, *n));
        was[2] == 0 && was != is
    });
    let moved = moved.count();
    assert!(moved <= 600 / 50, "{moved} of 600 flows moved without need");
}
