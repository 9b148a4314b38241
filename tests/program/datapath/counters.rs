//! What was counted, by server, service and reason, whatever becomes of the servers and of the agent.

use super::full::{map, send, small};
use super::{isolated, no_fork, service};
use aya::maps::{Array, Map, PerCpuArray, PerCpuValues};
use lb_common::counters::{Count, Retired, Traffic};
use lb_common::server::{Method, Server, ServerRef, ServerState};
use lb_common::slots::Slot;
use lb_common::verdict::Reason;
use lb_ctl::datapath::tables::{Capacities, Write};
use lb_ctl::datapath::{Counted, Datapath, OpenOptions};
use std::collections::BTreeMap;
use std::path::Path;
use zerocopy::transmute;

/// The service and the server of [`service`].
const SERVICE: u32 = 4;
const SERVER: u32 = 5;
/// Length of the frames of [`send`].
const BYTES: u64 = 42;

fn open(bpffs: &Path) -> Datapath {
    let options = OpenOptions { bpffs: bpffs.join("lb"), debug_log: false };
    let _guard = no_fork();
    Datapath::open_sized(&options, &small()).unwrap()
}

/// A datapath that forwarded three packets of one flow by dr.
fn used(bpffs: &Path) -> Datapath {
    let mut datapath = open(bpffs);
    datapath.apply(&service(Method::Dr)).unwrap();
    (0..3).for_each(|_| assert_eq!(send(&mut datapath, 7), 3));
    datapath
}

fn traffic(connections: u64, in_packets: u64) -> Traffic {
    Traffic { connections, in_packets, in_bytes: in_packets * BYTES, ..Traffic::default() }
}

/// What is not zero of the counters.
#[derive(Debug, PartialEq)]
struct Sums {
    services: Vec<(u32, Traffic)>,
    servers: Vec<(u32, Traffic)>,
    reasons: Vec<(Reason, Count)>,
}

fn sums(datapath: &Datapath) -> Sums {
    let Counted { reasons, services, servers } = datapath.counted().unwrap();
    let some = |all: BTreeMap<u32, Traffic>| all.into_iter().filter(|(_, one)| *one != Traffic::default());
    let reasons = reasons.into_iter().filter(|(.., count)| *count != Count::default());
    Sums {
        services: some(services).collect(),
        servers: some(servers).collect(),
        reasons: reasons.map(|(reason, _, count)| (reason, count)).collect(),
    }
}

fn dr(packets: u64) -> Vec<(Reason, Count)> {
    vec![(Reason::ForwardedDr, Count { packets, bytes: packets * BYTES })]
}

/// A server like that of [`service`], that is gone.
fn gone(datapath: &Datapath, service: u32) -> Server {
    let entry = datapath.snapshot().unwrap().servers[&SERVER];
    Server { service, state: ServerState::Gone as u8, ..entry }
}

/// The writes that remove the server and give its id to another one, of `service`.
fn exchanged(datapath: &Datapath, service: u32) -> [Write; 3] {
    let entry = gone(datapath, service);
    let next = Server { state: ServerState::Up as u8, generation: entry.generation + 1, ..entry };
    [Write::ServerState(SERVER, ServerState::Gone), Write::RetireServer(SERVER), Write::Server(SERVER, next)]
}

#[test]
fn a_packet_is_counted_for_its_server_service_and_reason() {
    isolated(|bpffs| {
        let (services, servers) = (vec![(SERVICE, traffic(1, 3))], vec![(SERVER, traffic(1, 3))]);
        assert_eq!(sums(&used(bpffs)), Sums { services, servers, reasons: dr(3) });
    });
}

#[test]
fn what_a_server_counted_stays_with_its_service_when_its_id_is_given_out_again() {
    isolated(|bpffs| {
        let mut datapath = used(bpffs);
        let [gone, retired, other] = exchanged(&datapath, SERVICE);
        for write in [gone, retired.clone(), retired, other] {
            datapath.apply(std::slice::from_ref(&write)).unwrap();
            let Sums { services, reasons, .. } = sums(&datapath);
            assert_eq!((services, reasons), (vec![(SERVICE, traffic(1, 3))], dr(3)), "after {write:?}");
        }
        // The next one under this number begins at zero, and counts on for the service.
        assert_eq!(datapath.server_traffic(&[SERVER]).unwrap()[&SERVER], Traffic::default());
        let slot = Slot::settled(ServerRef::new(SERVER, 8));
        datapath.apply(&[Write::Change(vec![(1, slot), (2, slot)])]).unwrap();
        assert_eq!(send(&mut datapath, 8), 3);
        let (services, servers) = (vec![(SERVICE, traffic(2, 4))], vec![(SERVER, traffic(1, 1))]);
        assert_eq!(sums(&datapath), Sums { services, servers, reasons: dr(4) });
    });
}

#[test]
fn another_service_of_the_same_number_begins_at_zero_and_no_packet_is_lost_of_the_reason() {
    isolated(|bpffs| {
        let mut datapath = used(bpffs);
        let [gone, retired, other] = exchanged(&datapath, 9);
        for write in [gone, retired, Write::RetireService(SERVICE), other] {
            datapath.apply(std::slice::from_ref(&write)).unwrap();
            assert_eq!(sums(&datapath).reasons, dr(3), "after {write:?}");
        }
        let services = vec![(0, traffic(1, 3))];
        assert_eq!(sums(&datapath), Sums { services, servers: vec![], reasons: dr(3) });
    });
}

/// An agent that is killed between two writes of `RetireServer`: the sum is written, with or without the server's own zeros.
#[test]
fn an_agent_that_is_killed_while_it_adds_up_counts_nothing_twice() {
    for zeroed in [false, true] {
        isolated(|bpffs| {
            let mut datapath = used(bpffs);
            let [removed, retired, other] = exchanged(&datapath, SERVICE);
            let second = gone(&datapath, SERVICE);
            datapath.apply(&[removed]).unwrap();
            if zeroed {
                datapath.apply(std::slice::from_ref(&retired)).unwrap();
            }
            let sum = Retired::default().with(Method::Dr, traffic(1, 3));
            let halfway = Retired { folding: ServerRef::new(SERVER, 7), ..sum };
            write(bpffs, SERVICE, halfway);
            // Another server of the service, which is gone too, counted two packets.
            datapath.apply(&[Write::Server(9, second)]).unwrap();
            count(bpffs, 9, traffic(0, 2));
            drop(datapath);
            let mut next = open(bpffs);
            let name = format!("zeroed: {zeroed}");
            // The other one may be the first whose id is given out again.
            for step in [vec![], vec![Write::RetireServer(9)], vec![retired], vec![other]] {
                next.apply(&step).unwrap();
                let Sums { services, reasons, .. } = sums(&next);
                assert_eq!((services, reasons), (vec![(SERVICE, traffic(1, 5))], dr(5)), "{name}, {step:?}");
            }
            assert_eq!(next.server_traffic(&[SERVER]).unwrap()[&SERVER], Traffic::default(), "{name}");
        });
    }
}

/// Lets a server have counted `traffic`, on the first CPU.
fn count(bpffs: &Path, server: u32, traffic: Traffic) {
    let map = map(&bpffs.join("lb/maps"), "SERVER_COUNTERS");
    let mut array: PerCpuArray<_, [u8; 40]> = Map::PerCpuArray(map).try_into().unwrap();
    let mut values = vec![[0; 40]; aya::util::nr_cpus().unwrap()];
    values[0] = transmute!(traffic);
    array.set(server, PerCpuValues::try_from(values).unwrap(), 0).unwrap();
}

fn write(bpffs: &Path, service: u32, retired: Retired) {
    let map = map(&bpffs.join("lb/maps"), "SERVICE_COUNTERS");
    let mut array: Array<_, [u8; 128]> = Map::Array(map).try_into().unwrap();
    let bytes: [u8; 128] = transmute!(retired);
    array.set(service, bytes, 0).unwrap();
}

#[test]
fn smaller_tables_keep_what_was_counted_in_the_part_that_goes() {
    isolated(|bpffs| {
        let mut datapath = used(bpffs);
        let high = gone(&datapath, 60);
        datapath.apply(&[Write::Server(100, high)]).unwrap();
        count(bpffs, 100, traffic(2, 20));
        write(bpffs, 61, Retired::default().with(Method::Dr, traffic(3, 30)));
        let all = Sums {
            services: vec![(SERVICE, traffic(1, 3)), (60, traffic(2, 20)), (61, traffic(3, 30))],
            servers: vec![(SERVER, traffic(1, 3)), (100, traffic(2, 20))],
            reasons: dr(53),
        };
        assert_eq!(sums(&datapath), all);
        datapath.resize(&Capacities::of(8_192, 5, 5, 4_095), &mut |_| {}).unwrap();
        let left = Sums {
            services: vec![(0, traffic(5, 50)), (SERVICE, traffic(1, 3))],
            servers: vec![(SERVER, traffic(1, 3))],
            reasons: dr(53),
        };
        assert_eq!(sums(&datapath), left);
    });
}
