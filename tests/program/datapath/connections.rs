//! The remembered flows: all are seen, idle ones are swept.

use super::{PORT, VIP, isolated, service};
use lb_common::connection::Connection;
use lb_common::flow::FlowKey;
use lb_common::server::{Method, ServerRef, ServerState};
use lb_common::service::Timeouts;
use lb_ctl::datapath::tables::Write;
use lb_ctl::datapath::{Datapath, Load, now_ms};
use lb_tests::packet::udp;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

const TX: u32 = 3;
const REDIRECT: u32 = 4;

/// More than one batch of bpf(2).
const MANY: u16 = 10_000;

fn datapath(method: Method) -> Datapath {
    let sizes = [("SLOTS", 1_024), ("CONNECTIONS", 32_768), ("HALF_OPEN", 32_768)];
    let mut datapath = Datapath::open_unpinned_with(&sizes).unwrap();
    datapath.apply(&service(method)).unwrap();
    datapath
}

/// Sends one packet of the client's flow from `port`.
fn send(datapath: &mut Datapath, port: u16) {
    let client = SocketAddr::from((Ipv4Addr::new(198, 51, 100, 7), port));
    let frame = udp(client, SocketAddr::from((Ipv4Addr::from(VIP), PORT))).build();
    let (action, _) = datapath.test_run(&frame, None).unwrap();
    assert!([TX, REDIRECT].contains(&action), "port {port}: XDP action {action}");
}

fn connections(datapath: &Datapath) -> Vec<(FlowKey, Connection)> {
    let mut all = Vec::new();
    datapath.for_each_connection(|key, connection| all.push((*key, *connection))).unwrap();
    all
}

#[test]
fn every_connection_is_seen_once() {
    isolated(|_| {
        let mut datapath = datapath(Method::Dr);
        for port in 1..=MANY {
            send(&mut datapath, port);
            send(&mut datapath, port);
        }
        let all = connections(&datapath);
        let ports: BTreeSet<u16> = all.iter().map(|(key, _)| key.client_port.get()).collect();
        assert_eq!((all.len(), ports), (usize::from(MANY), (1..=MANY).collect()));
        assert!(all.iter().all(|(_, connection)| connection.server == ServerRef::new(5, 7)));
        let report = datapath.sweep(now_ms().unwrap()).unwrap();
        let load = Load { active: 0, inactive: u64::from(MANY) };
        assert_eq!((report.swept, report.total, report.limit), (0, u64::from(MANY), 32_768));
        assert_eq!(report.services, BTreeMap::from([(4, load)]));
        assert_eq!(report.servers, BTreeMap::from([(ServerRef::new(5, 7), load)]));
        let later = now_ms().unwrap().wrapping_add(Timeouts::default().udp + 60_000);
        assert_eq!(datapath.sweep(later).unwrap().swept, u64::from(MANY));
        assert_eq!(connections(&datapath), []);
    });
}

#[test]
fn a_nat_connection_is_swept_with_both_its_sides() {
    isolated(|_| {
        let mut datapath = datapath(Method::Nat);
        send(&mut datapath, 40_000);
        let half_open = datapath.sweep(now_ms().unwrap()).unwrap();
        assert_eq!((half_open.total, half_open.half_open), (0, 2));
        send(&mut datapath, 40_000);
        let keys: Vec<FlowKey> = connections(&datapath).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys.iter().filter(|key| key.owner.is_reply()).count(), 1, "{keys:?}");
        let all = connections(&datapath);
        for (key, connection) in &all {
            let other = all.iter().find(|(other, _)| other != key).map(|(_, other)| *other);
            assert_eq!(datapath.reply_side(key, connection).unwrap(), other, "{key:?}");
        }
        let fresh = datapath.sweep(now_ms().unwrap()).unwrap();
        assert_eq!((fresh.swept, fresh.total, fresh.half_open), (0, 2, 0));
        assert_eq!(fresh.named, BTreeMap::from([(5, 2)]));
        assert_eq!(fresh.servers, BTreeMap::from([(ServerRef::new(5, 7), Load { active: 0, inactive: 1 })]));
        let later = now_ms().unwrap().wrapping_add(Timeouts::default().udp + 60_000);
        let swept = datapath.sweep(later).unwrap();
        assert_eq!((swept.swept, swept.total), (2, 0));
        assert_eq!(swept.named, BTreeMap::new());
    });
}

#[test]
fn flows_of_a_removed_server_go_after_the_time_of_closed_ones() {
    isolated(|_| {
        let mut datapath = datapath(Method::Dr);
        send(&mut datapath, 40_000);
        send(&mut datapath, 40_000);
        let later = now_ms().unwrap().wrapping_add(Timeouts::default().closed + 5_000);
        assert_eq!(datapath.sweep(later).unwrap().swept, 0);
        datapath.apply(&[Write::ServerState(5, ServerState::Gone)]).unwrap();
        assert_eq!(datapath.sweep(now_ms().unwrap()).unwrap().swept, 0);
        assert_eq!(datapath.sweep(later).unwrap().swept, 1);
    });
}

#[test]
fn sampled_decisions_are_read_in_order() {
    isolated(|_| {
        let mut datapath = datapath(Method::Dr);
        let mut events = datapath.events().unwrap();
        send(&mut datapath, 1);
        assert_eq!(events.next_event(), None);
        let settings = datapath.snapshot().unwrap().settings;
        datapath
            .apply(&[Write::Settings(lb_common::counters::Settings { sample_period: 1, ..settings })])
            .unwrap();
        (2..5).for_each(|port| send(&mut datapath, port));
        let ports: Vec<u16> =
            std::iter::from_fn(|| events.next_event()).map(|event| event.source_port.get()).collect();
        assert_eq!(ports, [2, 3, 4]);
    });
}
