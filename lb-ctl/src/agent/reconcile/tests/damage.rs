//! Tables that somebody else wrote to: whatever it was, one reconcile repairs it.

use super::machine::Machine;
use super::worlds::{any_tables, server, service, tables};
use super::{assert_equal, reconcile, run, start};
use crate::agent::ids::Quarantine;
use crate::datapath::tables::{Kernel, Write};
use lb_common::address::Address;
use lb_common::counters::Settings;
use lb_common::index::{Indexed, place};
use lb_common::maps::MAX_SLOTS;
use lb_common::server::{Interface, NextHop, Server, ServerRef};
use lb_common::service::{ServiceKey, SlotRange, View};
use lb_common::slots::Slot;
use proptest::prelude::*;
use proptest::sample::Index;
use zerocopy::network_endian::U16;

/// One write of a stranger: which table, which entry, and numbers to put there.
#[derive(Clone, Debug)]
struct Damage {
    table: u8,
    entry: Index,
    field: u8,
    number: u32,
}

prop_compose! {
    fn any_damage()(
        table in 0..9_u8,
        entry in any::<Index>(),
        field in 0..8_u8,
        number in prop_oneof![0..8_u32, Just(MAX_SLOTS), Just(u32::MAX)],
    ) -> Damage {
        Damage { table, entry, field, number }
    }
}

impl Damage {
    /// What the stranger writes into tables that look like `kernel`.
    fn write(&self, kernel: &Kernel) -> Write {
        let number = self.number;
        let byte = number.to_le_bytes()[0];
        match self.table {
            0 => Write::Settings(Settings {
                flags: number,
                sample_period: u32::from(self.field),
                ..kernel.settings
            }),
            1 => Write::Interface(
                u16::from(byte),
                Interface { ifindex: 11 + u32::from(self.field % 3), mtu: 9, mac: [byte; 6] },
            ),
            2 => {
                let address = Address::from_v4([10, 0, 0, self.field]);
                Write::NatHost(address, (number != 0).then_some(number))
            }
            3 => self.server(kernel),
            4 => self.slot(kernel),
            5 => self.view(kernel),
            6 => Write::Service(self.pick(kernel.services.keys().copied()).unwrap_or(5), number),
            7 => {
                let ours = self.pick(kernel.service_index.keys().copied()).filter(|_| self.field < 6);
                let port = (u64::from(self.field % 2) * 80_u64.swap_bytes()) >> 16;
                let words = [0, u64::from(number), port | 6 << 48 | u64::from(number), 1 << 63];
                Write::Index(ours.unwrap_or(7), Indexed(words[usize::from(self.field % 4)]))
            }
            _ => {
                let ours = self.pick(kernel.service_keys.keys().copied());
                let strange = ServiceKey::new(Address::from_v4([192, 0, 2, 9]), U16::new(7), 6);
                let key = ours.filter(|_| self.field < 6).unwrap_or(strange);
                Write::ServiceKey(key, (number != 1).then_some(number))
            }
        }
    }

    fn pick<T>(&self, entries: impl Iterator<Item = T>) -> Option<T> {
        let mut entries: Vec<T> = entries.collect();
        (!entries.is_empty()).then(|| entries.swap_remove(self.entry.index(entries.len())))
    }

    fn server(&self, kernel: &Kernel) -> Write {
        let id = self.pick(kernel.servers.keys().copied()).filter(|_| self.field < 7).unwrap_or(40);
        let old = kernel.servers.get(&id).copied().unwrap_or_default();
        let byte = self.number.to_le_bytes()[0];
        let changed = match self.field {
            0 => Server { state: byte, ..old },
            1 => Server { next_hop: NextHop { mac: [byte; 6], device: u16::from(byte) }, ..old },
            2 => Server { mtu: u16::from(byte), source_bits: byte, ..old },
            3 => Server { service: self.number, ..old },
            4 => Server { generation: byte, ..old },
            5 => Server { host: self.number, ..old },
            6 => Server { method: byte, port: U16::new(7), ..old },
            _ => Server { address: Address::from_v4([10, 0, 0, byte]), state: 1, method: 1, ..old },
        };
        Write::Server(id, changed)
    }

    fn slot(&self, kernel: &Kernel) -> Write {
        let ranges = kernel.slots.iter().map(|(first, slots)| (*first, slots.len()));
        let (first, len) = self.pick(ranges).unwrap_or((1, 1));
        let index = first + u32::try_from(self.entry.index(len)).unwrap();
        Write::Change(vec![(index, Slot::settled(ServerRef(self.number)))])
    }

    fn view(&self, kernel: &Kernel) -> Write {
        let Some((index, old)) = self.pick(kernel.views.iter().map(|(index, view)| (*index, *view))) else {
            return Write::View(3, View::default());
        };
        let byte = self.number.to_le_bytes()[0];
        let changed = match self.field {
            0 => View { slots: SlotRange { first: self.number, ..old.slots }, ..old },
            1 => View { slots: SlotRange { len: self.number, ..old.slots }, ..old },
            2 => View { old_slots: SlotRange { first: 1, len: self.number }, ..old },
            3 => View { port: U16::new(7), ..old },
            4 => View { pick: byte, flags: byte, ..old },
            5 => View { address: Address::from_v4([192, 0, 2, 1]), ..old },
            6 => View { protocol: 17, ..old },
            _ => View::default(),
        };
        Write::View(index, changed)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn whatever_a_stranger_wrote_is_repaired_by_one_reconcile(
        wanted in any_tables(),
        damages in prop::collection::vec(any_damage(), 1..5),
    ) {
        let mut machine = start(&wanted);
        for damage in damages {
            machine.put(&damage.write(&machine.read_back()));
        }
        let held = Quarantine::default();
        let plan = reconcile(&wanted, &machine.read_back(), &held).unwrap();
        plan.writes.iter().for_each(|write| machine.put(write));
        prop_assert_eq!(machine.check(), Ok(()));
        prop_assert!(machine.hosts_differ());
        assert_equal(&machine, &wanted);
        let again = reconcile(&wanted, &machine.read_back(), &plan.freed).unwrap();
        prop_assert_eq!(again.writes, []);
    }
}

fn ids(machine: &Machine) -> Vec<u32> {
    machine.read_back().services.into_keys().collect()
}

#[test]
fn a_key_that_leads_to_another_service_changes_no_id() {
    let wanted = tables(vec![service(1, &[80], vec![server(1, 1)]), service(2, &[80], vec![server(2, 1)])]);
    let before = start(&wanted).read_back();
    let (key, id) = before.service_keys.iter().next().unwrap();
    let table = Write::ServiceKey(*key, Some(3 - id));
    let word = Write::Index(place(key), Indexed::one(key, 3 - id));
    for damages in [vec![table.clone()], vec![word.clone()], vec![table, word]] {
        let mut machine = start(&wanted);
        for damage in &damages {
            machine.put(damage);
        }
        let plan = reconcile(&wanted, &machine.read_back(), &Quarantine::default()).unwrap();
        let mends = |write: &Write| matches!(write, Write::ServiceKey(_, Some(_)) | Write::Index(..));
        assert!(plan.writes.iter().all(mends), "{damages:?}: {:?}", plan.writes);
        plan.writes.iter().for_each(|write| machine.put(write));
        assert_eq!(machine.read_back(), before, "{damages:?}");
    }
}

#[test]
fn an_index_that_is_lost_changes_no_id_and_no_server() {
    // Two services of one VIP: nothing but their keys tells them apart.
    let wanted = tables(vec![service(1, &[80], vec![server(1, 1)]), service(1, &[443], vec![server(2, 1)])]);
    let mut machine = start(&wanted);
    let before = machine.read_back();
    machine.index.clear();
    let plan = reconcile(&wanted, &machine.read_back(), &Quarantine::default()).unwrap();
    run(&mut machine, &plan, &wanted, &Quarantine::default()).unwrap();
    assert_eq!(machine.read_back(), before);
}

#[test]
fn a_host_id_comes_back_as_its_servers_have_it() {
    let nat = crate::agent::tables::Server { method: lb_common::server::Method::Nat, ..server(1, 1) };
    let wanted = tables(vec![service(1, &[80], vec![nat])]);
    let mut machine = start(&wanted);
    let before = machine.read_back();
    for id in [None, Some(9), Some(u32::MAX)] {
        machine.put(&Write::NatHost(Address::from_v4([10, 0, 0, 1]), id));
        let plan = reconcile(&wanted, &machine.read_back(), &Quarantine::default()).unwrap();
        assert!(matches!(plan.writes.as_slice(), [Write::NatHost(_, Some(1))]), "{:?}", plan.writes);
        plan.writes.iter().for_each(|write| machine.put(write));
        assert_eq!(machine.read_back(), before);
    }
}

#[test]
fn a_service_whose_ports_are_all_replaced_keeps_its_id_where_there_is_no_doubt() {
    let web = |vip, ports: &[u16]| service(vip, ports, vec![server(vip, 1)]);
    let rows = [
        ("one port for another", vec![web(1, &[80])], vec![web(1, &[8080])], true),
        ("any for a port", vec![web(1, &[80])], vec![web(1, &[0])], true),
        ("a port for any", vec![web(1, &[0])], vec![web(1, &[80])], true),
        (
            "beside one that stays",
            vec![web(1, &[80]), web(1, &[443])],
            vec![web(1, &[0]), web(1, &[443])],
            true,
        ),
        ("two at once", vec![web(1, &[80]), web(1, &[443])], vec![web(1, &[8080]), web(1, &[8443])], false),
        ("two for one", vec![web(1, &[80])], vec![web(1, &[8080]), web(1, &[8443])], false),
        ("another VIP", vec![web(1, &[80])], vec![web(2, &[80])], false),
    ];
    for (name, before, after, keeps) in rows {
        let (before, after) = (tables(before), tables(after));
        let mut machine = start(&before);
        let old = ids(&machine);
        let plan = reconcile(&after, &machine.read_back(), &Quarantine::default()).unwrap();
        run(&mut machine, &plan, &after, &Quarantine::default()).unwrap();
        assert_equal(&machine, &after);
        let new = ids(&machine);
        assert_eq!(old.iter().all(|id| new.contains(id)), keeps, "{name}: {old:?} {new:?}");
    }
}

#[test]
fn a_port_is_served_all_the_time_while_any_port_takes_its_place_and_back() {
    let (one, any) = (
        tables(vec![service(1, &[80], vec![server(1, 1)])]),
        tables(vec![service(1, &[0], vec![server(1, 1)])]),
    );
    for (before, after) in [(&one, &any), (&any, &one)] {
        let mut machine = start(before);
        let plan = reconcile(after, &machine.read_back(), &Quarantine::default()).unwrap();
        for write in &plan.writes {
            machine.write(write, &Quarantine::default()).unwrap();
            assert!(!machine.served().is_empty(), "after {write:?}");
        }
    }
}
