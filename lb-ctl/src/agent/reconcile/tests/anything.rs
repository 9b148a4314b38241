//! Tables that hold anything at all: one plan makes them what the slow twin makes of nothing.

use super::machine::Machine;
use super::twin::{exists, rewritten, seen};
use super::worlds::{self, server, service, tables};
use super::{reconcile, start};
use crate::agent::ids::Quarantine;
use crate::agent::tables::{Server, Tables};
use lb_common::address::Address;
use lb_common::counters::Settings;
use lb_common::index::{Indexed, place};
use lb_common::maps::MAX_SLOTS;
use lb_common::server::{self as entries, Interface, Method, NextHop};
use lb_common::service::{ServiceKey, SlotRange, View};
use lb_common::slots::Slot;
use proptest::prelude::*;
use std::collections::BTreeMap;
use zerocopy::network_endian::U16;

/// A change that no agent makes; `None` takes an element away.
#[derive(Clone, Debug)]
enum Damage {
    Key(ServiceKey, Option<u32>),
    Index(ServiceKey, Indexed),
    Service(u32, Option<u32>),
    View(u32, View),
    Slot(u32, Slot),
    Server(u32, Option<entries::Server>),
    Host(Address, Option<u32>),
    Interface(u16, Option<Interface>),
    Settings(Settings),
}

impl Machine {
    fn damage(&mut self, damage: &Damage) {
        match *damage {
            Damage::Key(key, id) => put(&mut self.keys, key, id),
            Damage::Index(key, word) => drop(self.index.insert(place(&key), word)),
            Damage::Service(id, view) => put(&mut self.services, id, view),
            Damage::View(index, view) => drop(self.views.insert(index, view)),
            Damage::Slot(index, slot) => drop(self.slots.insert(index, slot)),
            Damage::Server(id, server) => put(&mut self.servers, id, server),
            Damage::Host(address, id) => put(&mut self.hosts, address, id),
            Damage::Interface(device, interface) => {
                put(&mut self.interfaces, device, interface);
            }
            Damage::Settings(settings) => self.settings = settings,
        }
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    if let Some(value) = value {
        map.insert(key, value);
    } else {
        map.remove(&key);
    }
}

/// What one plan makes of damaged tables; a second one has nothing to do.
fn repair(machine: &mut Machine, wanted: &Tables) -> Result<(), String> {
    let held = Quarantine { servers: machine.gone(), ..Quarantine::default() };
    let plan = reconcile(wanted, &machine.read_back(), &held).map_err(|full| full.to_string())?;
    for write in &plan.writes {
        if !exists(write) {
            return Err(format!("{write:?} is for an element that no table has"));
        }
        machine.put(write);
    }
    let mut held = held;
    held.add(plan.freed);
    let again = reconcile(wanted, &machine.read_back(), &held).map_err(|full| full.to_string())?;
    if again.writes.is_empty() { Ok(()) } else { Err(format!("a second run writes {:?}", again.writes)) }
}

/// A number that an element of a small table has, or one that nothing has.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..12_u32, 1 => Just(u32::MAX), 1 => any::<u32>()]
}

fn address(last: u8) -> Address {
    Address::from_v4([10, 0, 0, last])
}

prop_compose! {
    fn any_key()(vip in 1..4_u8, port in prop_oneof![Just(80_u16), Just(443), Just(8080), Just(0), Just(99)]) -> ServiceKey {
        ServiceKey::new(Address::from_v4([192, 0, 2, vip]), U16::new(port), 6)
    }
}

prop_compose! {
    fn any_range()(first in number(), len in prop_oneof![4 => 0..9_u32, 1 => any::<u32>().prop_filter("no arena has it", |len| *len > MAX_SLOTS)]) -> SlotRange {
        SlotRange { first, len }
    }
}

prop_compose! {
    fn any_view()(key in any_key(), slots in any_range(), old_slots in any_range(), (pick, flags, scheduler, protocol) in any::<(u8, u8, u8, u8)>()) -> View {
        View { address: key.address, port: key.port, protocol, slots, old_slots, pick, flags, scheduler, ..View::default() }
    }
}

prop_compose! {
    fn any_server()(
        last in 1..6_u8,
        service in number(),
        host in number(),
        (state, generation, device, mac) in (0..6_u8, 0..3_u8, 0..4_u16, 1..3_u8),
        method in prop_oneof![Just(Method::Dr as u8), Just(Method::Nat as u8), Just(Method::Ipip as u8), Just(77)],
    ) -> entries::Server {
        let next_hop = NextHop { mac: [mac; 6], device };
        entries::Server { next_hop, state, method, generation, mtu: 1500, address: address(last), service, host, ..entries::Server::default() }
    }
}

fn any_damage() -> impl Strategy<Value = Damage> {
    let small = || 1..12_u32;
    prop_oneof![
        (any_key(), prop::option::of(number())).prop_map(|(key, id)| Damage::Key(key, id)),
        (any_key(), any_key(), number()).prop_map(|(key, of, id)| Damage::Index(key, Indexed::one(&of, id))),
        (any_key(), any::<u64>()).prop_map(|(key, word)| Damage::Index(key, Indexed(word))),
        (small(), prop::option::of(number().prop_filter("0 is none", |view| *view != 0)))
            .prop_map(|(id, view)| Damage::Service(id, view)),
        (small(), any_view()).prop_map(|(index, view)| Damage::View(index, view)),
        (small(), any::<u64>()).prop_map(|(index, word)| Damage::Slot(index, Slot(word))),
        (small(), prop::option::of(any_server())).prop_map(|(id, server)| Damage::Server(id, server)),
        (1..6_u8, prop::option::of(number())).prop_map(|(last, id)| Damage::Host(address(last), id)),
        (1..5_u16, prop::option::of((9..14_u32, 1..3_u8))).prop_map(|(device, interface)| {
            let interface = interface.map(|(ifindex, mac)| Interface { ifindex, mtu: 1400, mac: [mac; 6] });
            Damage::Interface(device, interface)
        }),
        any::<[u32; 4]>().prop_map(|[schema, flags, sample_period, answers_per_second]| {
            Damage::Settings(Settings {
                schema,
                flags,
                sample_period,
                answers_per_second,
                ..Settings::default()
            })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn whatever_the_tables_hold_the_end_is_that_of_clearing_and_writing_them(
        before in worlds::any_tables(),
        damages in prop::collection::vec(any_damage(), 0..12),
        after in worlds::any_tables(),
    ) {
        let mut machine = start(&before);
        for damage in &damages {
            machine.damage(damage);
        }
        repair(&mut machine, &after).unwrap();
        assert_eq!(seen(&machine), seen(&rewritten(&after)));
        assert_eq!((machine.check(), machine.hosts_differ()), (Ok(()), true));
    }
}

#[test]
fn each_kind_of_damage_is_repaired() {
    let nat = |host| Server { method: Method::Nat, ..server(host, 1) };
    let wanted = tables(vec![
        service(1, &[80], vec![server(1, 1), server(2, 2)]),
        service(2, &[443], vec![nat(3), nat(4)]),
    ]);
    let key = |vip, port| ServiceKey::new(Address::from_v4([192, 0, 2, vip]), U16::new(port), 6);
    let beyond = View { slots: SlotRange { first: 5, len: u32::MAX }, ..View::default() };
    let rows = [
        ("a key is gone", Damage::Key(key(1, 80), None)),
        ("a key leads to another service", Damage::Key(key(1, 80), Some(2))),
        ("a key leads to a service that no table has", Damage::Key(key(1, 80), Some(u32::MAX))),
        ("a key leads to number 0", Damage::Key(key(1, 80), Some(0))),
        ("a key that nobody asked for", Damage::Key(key(7, 99), Some(1))),
        ("a word is gone", Damage::Index(key(1, 80), Indexed::NONE)),
        ("a word of several", Damage::Index(key(1, 80), Indexed::SEVERAL)),
        ("a word of another service", Damage::Index(key(1, 80), Indexed::one(&key(1, 80), 2))),
        ("a word of a service that no table has", Damage::Index(key(1, 80), Indexed::one(&key(1, 80), 77))),
        ("a word that nobody asked for", Damage::Index(key(1, 81), Indexed::one(&key(1, 81), 1))),
        ("a service points at nothing", Damage::Service(1, None)),
        ("a service points at another one's view", Damage::Service(1, Some(2))),
        ("a service points at a view that no table has", Damage::Service(1, Some(u32::MAX))),
        ("a view names slots that no arena has", Damage::View(1, beyond)),
        ("a view is empty", Damage::View(1, View::default())),
        ("a slot names nobody", Damage::Slot(1, Slot(0))),
        ("a slot names a server of another service", Damage::Slot(1, Slot(3))),
        ("a server is gone", Damage::Server(1, None)),
        ("two hosts share an id", Damage::Host(address(3), Some(2))),
        ("a host has an id that no table has", Damage::Host(address(3), Some(u32::MAX))),
        ("a host is gone", Damage::Host(address(3), None)),
        ("a device is gone", Damage::Interface(11, None)),
        (
            "two devices are one interface",
            Damage::Interface(12, Some(Interface { ifindex: 11, mtu: 9, mac: [9; 6] })),
        ),
        ("the settings are empty", Damage::Settings(Settings::default())),
    ];
    for (name, damage) in rows {
        let mut machine = start(&wanted);
        let keys = |machine: &Machine| {
            let tables = machine.read_back();
            (tables.service_keys, tables.stale_keys, tables.service_index)
        };
        let (whole, before) = (seen(&machine), keys(&machine));
        machine.damage(&damage);
        assert!(
            machine.check().is_err()
                || !machine.hosts_differ()
                || seen(&machine) != whole
                || keys(&machine) != before,
            "{name}: no damage"
        );
        repair(&mut machine, &wanted).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert_eq!(seen(&machine), seen(&rewritten(&wanted)), "{name}");
        assert_eq!((machine.check(), machine.hosts_differ()), (Ok(()), true), "{name}");
    }
}
