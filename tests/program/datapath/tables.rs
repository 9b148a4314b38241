//! Tables written and read back.

use super::{isolated, service};
use lb_common::address::Address;
use lb_common::counters::Settings;
use lb_common::index::Indexed;
use lb_common::server::{Interface, Method, NextHop, Server, ServerRef, ServerState};
use lb_common::service::{SlotRange, View};
use lb_common::slots::Slot;
use lb_ctl::datapath::tables::Write;
use lb_ctl::datapath::{Datapath, DatapathError, OpenOptions};
use lb_tests::packet::udp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;

/// Slots of one page of memory.
const PAGE: u32 = 512;

fn slots(len: u32) -> Vec<Slot> {
    (0..len).map(|n| Slot::settled(ServerRef::new(n + 1, 3))).collect()
}

#[test]
fn slots_cross_pages() {
    isolated(|_| {
        let mut datapath = Datapath::open_unpinned().unwrap();
        let ranges =
            [(1, 1), (PAGE - 2, 4), (3 * PAGE, PAGE), (5 * PAGE - 1, 2 * PAGE + 2), (10 * PAGE + 7, 1_000)];
        for (place, (first, len)) in (1..).zip(ranges) {
            let view = View { slots: SlotRange { first, len }, ..View::default() };
            let writes =
                [Write::Slots(first, slots(len)), Write::View(place, view), Write::Service(place, place)];
            datapath.apply(&writes).unwrap();
        }
        let changed = Slot::settled(ServerRef::new(77, 9));
        datapath.apply(&[Write::Change(vec![(6 * PAGE, changed)])]).unwrap();
        let read = datapath.snapshot().unwrap().slots;
        assert_eq!(read.len(), ranges.len());
        for (first, len) in ranges {
            let mut expected = slots(len);
            if (first..first + len).contains(&(6 * PAGE)) {
                expected[(6 * PAGE - first) as usize] = changed;
            }
            assert_eq!(read[&first], expected, "{len} slots from {first}");
        }
    });
}

#[test]
fn what_a_table_does_not_have_is_refused() {
    isolated(|_| {
        let mut datapath = Datapath::open_unpinned_with(&[("SLOTS", 1_024)]).unwrap();
        for (write, map, index) in [
            (Write::Slots(1_020, slots(5)), "SLOTS", 1_024),
            (Write::Change(vec![(5_000, Slot::default())]), "SLOTS", 5_000),
            (Write::Service(lb_common::maps::MAX_SERVICES, 1), "SERVICES", lb_common::maps::MAX_SERVICES),
            (
                Write::ServerState(lb_common::maps::MAX_SERVERS, ServerState::Up),
                "SERVERS",
                lb_common::maps::MAX_SERVERS,
            ),
        ] {
            let error = datapath.apply(std::slice::from_ref(&write)).unwrap_err();
            let DatapathError::OutOfRange { map: of, index: first, .. } = error else {
                panic!("{write:?}: {error}")
            };
            assert_eq!((of, first), (map, index), "{write:?}");
        }
    });
}

#[test]
fn each_part_of_a_server_changes_alone() {
    isolated(|_| {
        let mut datapath = Datapath::open_unpinned().unwrap();
        datapath.apply(&service(Method::Ipip)).unwrap();
        let old = datapath.snapshot().unwrap().servers[&5];
        let next_hop = NextHop { mac: [2, 9, 8, 7, 6, 5], device: 200 };
        let source = Address::from_v6([0x20; 16]);
        let down = Server { state: ServerState::Down as u8, ..old };
        let moved = Server { next_hop, ..down };
        let wide = Server { mtu: 9_000, ..moved };
        for (write, expected) in [
            (Write::ServerState(5, ServerState::Down), down),
            (Write::NextHop(5, next_hop), moved),
            (Write::ServerMtu(5, 9_000), wide),
            (Write::ServerSource(5, source, 8), Server { source, source_bits: 8, ..wide }),
        ] {
            datapath.apply(std::slice::from_ref(&write)).unwrap();
            assert_eq!(datapath.snapshot().unwrap().servers[&5], expected, "{write:?}");
        }
    });
}

/// The write that takes `write` back; slots and views need none, as they are not read when no service names them.
fn undo(write: &Write, settings: Settings) -> Option<Write> {
    match write {
        Write::Settings(_) => Some(Write::Settings(settings)),
        Write::Interface(device, _) => Some(Write::Interface(*device, Interface::default())),
        Write::NatHost(address, _) => Some(Write::NatHost(*address, None)),
        Write::Server(id, _) => Some(Write::Server(*id, Server::default())),
        Write::Service(id, _) => Some(Write::Service(*id, 0)),
        Write::ServiceKey(key, _) => Some(Write::ServiceKey(*key, None)),
        Write::Index(place, _) => Some(Write::Index(*place, Indexed::NONE)),
        Write::Slots(..) | Write::Change(..) | Write::View(..) => None,
        Write::ServerState(..)
        | Write::NextHop(..)
        | Write::ServerMtu(..)
        | Write::ServerSource(..)
        | Write::RetireService(_)
        | Write::RetireServer(_) => panic!("{write:?} is no part of a service"),
    }
}

#[test]
fn everything_that_is_written_can_be_removed() {
    isolated(|_| {
        let mut datapath = Datapath::open_unpinned().unwrap();
        let empty = datapath.snapshot().unwrap();
        let writes = service(Method::Nat);
        datapath.apply(&writes).unwrap();
        let full = datapath.snapshot().unwrap();
        let undo: Vec<Write> = writes.iter().rev().filter_map(|write| undo(write, empty.settings)).collect();
        datapath.apply(&undo).unwrap();
        assert_ne!(full, empty);
        assert_eq!(datapath.snapshot().unwrap(), empty);
    });
}

#[test]
fn the_program_logs_only_when_it_is_asked_to() {
    isolated(|bpffs| {
        let (client, other) = (Ipv4Addr::new(198, 51, 100, 7), Ipv4Addr::new(192, 0, 2, 99));
        let frame = udp(SocketAddr::from((client, 40_000)), SocketAddr::from((other, 53))).build();
        for debug_log in [false, true] {
            let mut datapath = Datapath::open(&OpenOptions { bpffs: bpffs.join("lb"), debug_log }).unwrap();
            let log = datapath.take_log();
            datapath.test_run(&frame, None).unwrap();
            let written = log.as_ref().map(|log| {
                let mut wait = [PollFd::new(log.as_fd(), PollFlags::POLLIN)];
                poll(&mut wait, PollTimeout::from(1_000_u16)).unwrap()
            });
            assert_eq!(written, debug_log.then_some(1), "asked: {debug_log}");
        }
    });
}

#[test]
fn a_device_whose_interface_went_away_is_not_read_back() {
    isolated(|_| {
        super::ip("link add left index 90 type veth peer name right");
        let mut datapath = Datapath::open_unpinned().unwrap();
        let interface = Interface { ifindex: 90, mtu: 1_500, mac: [2; 6] };
        datapath.apply(&[Write::Interface(3, interface)]).unwrap();
        assert_eq!(datapath.snapshot().unwrap().interfaces.get(&3), Some(&interface));
        super::ip("link delete left");
        assert_eq!(datapath.snapshot().unwrap().interfaces.get(&3), None);
    });
}
