//! The slow twin of reconcile: everything cleared, then everything written. Whatever the tables held before, packets must
//! not be able to tell the two apart.

use super::machine::{Machine, Meets};
use crate::agent::reconcile::with_index;
use crate::agent::tables::{Device, Server, Service, Tables};
use crate::datapath::tables::Write;
use lb_common::address::Address;
use lb_common::counters::Settings;
use lb_common::maps::{MAX_NAT_HOSTS, MAX_SERVERS, MAX_SERVICES, MAX_SLOTS, MAX_VIEWS, SCHEMA_VERSION};
use lb_common::scheduler::Member;
use lb_common::server::{self as entries, Interface, MAX_DEVICES, Method, NextHop, ServerRef, ServerState};
use lb_common::service::{ServiceKey, SlotRange, View};
use lb_common::slots::Slot;
use std::collections::{BTreeMap, BTreeSet};
use zerocopy::network_endian::U16;

/// All that packets can notice of the tables.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    meets: BTreeMap<ServiceKey, Meets>,
    /// Whose answers are looked for.
    hosts: BTreeSet<Address>,
    devices: BTreeMap<u32, (u16, [u8; 6])>,
    settings: Settings,
    /// Servers that a connection may stay on.
    servers: usize,
}

/// What packets can notice of `machine`.
pub(super) fn seen(machine: &Machine) -> Seen {
    let device = |interface: &Interface| (interface.ifindex, (interface.mtu, interface.mac));
    Seen {
        meets: machine.meets(),
        hosts: machine.hosts.keys().copied().collect(),
        devices: machine.interfaces.values().map(device).collect(),
        settings: machine.settings,
        servers: machine.servers.len() - machine.gone().len(),
    }
}

/// Whether the kernel's tables have the elements that are written.
pub(super) fn exists(write: &Write) -> bool {
    let is_in = |id: u32, limit: u32| (1..limit).contains(&id);
    match write {
        Write::Interface(device, _) => is_in((*device).into(), MAX_DEVICES),
        Write::NatHost(_, Some(id)) => is_in(*id, MAX_NAT_HOSTS),
        Write::Server(id, _)
        | Write::ServerState(id, _)
        | Write::NextHop(id, _)
        | Write::ServerMtu(id, _)
        | Write::ServerSource(id, ..)
        | Write::RetireServer(id) => is_in(*id, MAX_SERVERS),
        Write::Slots(first, slots) => *first > 0 && *first as usize + slots.len() <= MAX_SLOTS as usize,
        Write::Change(slots) => slots.iter().all(|(index, _)| is_in(*index, MAX_SLOTS)),
        Write::View(index, _) => is_in(*index, MAX_VIEWS),
        Write::Service(id, view) => is_in(*id, MAX_SERVICES) && *view < MAX_VIEWS,
        Write::ServiceKey(_, Some(id)) | Write::RetireService(id) => is_in(*id, MAX_SERVICES),
        Write::Settings(_) | Write::NatHost(_, None) | Write::ServiceKey(_, None) | Write::Index(..) => true,
    }
}

/// The slow twin: everything cleared, then everything written, in any order and with any ids.
pub(super) fn rewritten(tables: &Tables) -> Machine {
    let mut machine = Machine {
        settings: Settings {
            schema: SCHEMA_VERSION,
            flags: tables.flags,
            sample_period: tables.sample_period,
            answers_per_second: tables.answers_per_second,
            ..Settings::default()
        },
        ..Machine::default()
    };
    for (device, (ifindex, Device { mac, mtu })) in (1..).zip(&tables.devices) {
        machine.interfaces.insert(device, Interface { ifindex: *ifindex, mtu: *mtu, mac: *mac });
    }
    for (id, service) in (1..).zip(&tables.services) {
        let references: Vec<ServerRef> =
            service.servers.iter().map(|server| add(&mut machine, id, server)).collect();
        let slots = slots(service, &references);
        let first = machine.slots.last_key_value().map_or(1, |(last, _)| last + 1);
        let len = u32::try_from(slots.len()).unwrap();
        machine.slots.extend((first..).zip(slots));
        machine.views.insert(id, view(service, SlotRange { first: if len == 0 { 0 } else { first }, len }));
        machine.services.insert(id, id);
        let keys = service.keys.iter().map(|key| Write::ServiceKey(*key, Some(id)));
        for write in with_index(keys.collect(), &machine.read_back()) {
            machine.put(&write);
        }
    }
    machine
}

fn add(machine: &mut Machine, service: u32, server: &Server) -> ServerRef {
    let id = u32::try_from(machine.servers.len()).unwrap() + 1;
    let next_hop = server.next_hop.map(|(ifindex, mac)| {
        let device = machine.interfaces.iter().find(|(_, interface)| interface.ifindex == ifindex);
        NextHop { mac, device: *device.unwrap().0 }
    });
    let mut host = 0;
    if server.method == Method::Nat {
        let free = u32::try_from(machine.hosts.len()).unwrap() + 1;
        host = *machine.hosts.entry(server.address).or_insert(free);
    }
    let entry = entries::Server {
        next_hop: next_hop.unwrap_or_default(),
        state: server.state as u8,
        method: server.method as u8,
        mtu: server.mtu,
        port: U16::new(server.port),
        address: server.address,
        source: server.source,
        source_bits: server.source_bits,
        service,
        host,
        ..Default::default()
    };
    machine.servers.insert(id, entry);
    ServerRef::new(id, 0)
}

fn slots(service: &Service, references: &[ServerRef]) -> Vec<Slot> {
    let weight = |server: &Server| match (server.state, server.next_hop) {
        (ServerState::Up, Some(_)) => server.weight,
        _ => 0,
    };
    let member = |(reference, server): (&ServerRef, &Server)| Member {
        server: *reference,
        weight: weight(server),
        address: server.address,
        port: server.port,
    };
    let members: Vec<Member> = references.iter().zip(&service.servers).map(member).collect();
    service.scheduler.fill(&members).into_iter().map(Slot::settled).collect()
}

fn view(service: &Service, slots: SlotRange) -> View {
    View {
        address: service.address,
        slots,
        old_slots: SlotRange::default(),
        timeouts: service.timeouts,
        port: U16::new(service.port),
        protocol: service.protocol,
        pick: service.scheduler.pick() as u8,
        flags: service.flags,
        scheduler: service.scheduler as u8,
        old_pick: 0,
        old_mark: 0,
        reserved: [0; 4],
    }
}
