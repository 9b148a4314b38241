//! Server ids, and what changes of a server while packets are on their way to it.

use super::devices::Devices;
use super::services::ServiceIds;
use crate::agent::identity::Identity;
use crate::agent::ids::{Full, Ids, Quarantine};
use crate::agent::plan::{Draft, Stage};
use crate::agent::tables::{self, Tables};
use crate::datapath::tables::{Kernel, Write};
use lb_common::address::Address;
use lb_common::server::{Method, NextHop, Server, ServerRef, ServerState};
use std::collections::{BTreeMap, BTreeSet};
use zerocopy::network_endian::U16;

/// The id of each address that nat servers have.
pub(super) type Hosts = BTreeMap<Address, u32>;

/// What the entries of servers refer to.
pub(super) struct Places<'a> {
    pub(super) devices: &'a Devices,
    pub(super) hosts: &'a Hosts,
    pub(super) services: &'a ServiceIds,
}

/// What makes an entry the same one: service, server and host id.
type Key = (u32, Identity, u32);

fn key(server: &Server) -> Key {
    (server.service, server.into(), server.host)
}

/// Ids of nat hosts. One that connections of a removed server may still name is not given out.
pub(super) fn hosts(
    tables: &Tables,
    kernel: &Kernel,
    quarantine: &Quarantine,
    draft: &mut Draft,
) -> Result<Hosts, Full> {
    let servers = tables.services.iter().flat_map(|service| &service.servers);
    let wanted: BTreeSet<Address> =
        servers.filter(|server| server.method == Method::Nat).map(|server| server.address).collect();
    let held = quarantine.servers.iter().filter_map(|id| kernel.servers.get(id)).map(|server| server.host);
    let mut hosts = known_hosts(&wanted, kernel);
    let busy = kernel.nat_hosts.values().copied().chain(held).chain(hosts.values().copied());
    let mut ids = Ids::new("nat hosts", kernel.capacities.nat_hosts, busy.collect::<Vec<_>>());
    for address in wanted {
        let id = match hosts.get(&address) {
            Some(id) => *id,
            None => ids.take()?,
        };
        if kernel.nat_hosts.get(&address) != Some(&id) {
            draft.push(Stage::Hosts, Write::NatHost(address, Some(id)));
        }
        hosts.insert(address, id);
    }
    for address in kernel.nat_hosts.keys().filter(|address| !hosts.contains_key(address)) {
        draft.push(Stage::DeadHosts, Write::NatHost(*address, None));
    }
    Ok(hosts)
}

/// The ids that addresses have: what their servers say, which connections depend on, else the table. No id is of two.
fn known_hosts(wanted: &BTreeSet<Address>, kernel: &Kernel) -> Hosts {
    let nat = |server: &&Server| is_alive(server) && server.method == Method::Nat as u8;
    let of_servers = kernel.servers.values().filter(nat).map(|server| (server.address, server.host));
    let of_table = kernel.nat_hosts.iter().map(|(address, id)| (*address, *id));
    let mut hosts = Hosts::new();
    let mut given = BTreeSet::new();
    for (address, id) in of_servers.chain(of_table) {
        let is_id = (1..kernel.capacities.nat_hosts).contains(&id) && wanted.contains(&address);
        if is_id && !hosts.contains_key(&address) && given.insert(id) {
            hosts.insert(address, id);
        }
    }
    hosts
}

/// Writes servers and gives the reference of each, by service.
pub(super) fn reconcile(
    tables: &Tables,
    kernel: &Kernel,
    quarantine: &Quarantine,
    (places, draft): (&Places<'_>, &mut Draft),
) -> Result<Vec<Vec<ServerRef>>, Full> {
    let living =
        kernel.servers.iter().filter(|(id, server)| is_alive(server) && !quarantine.servers.contains(id));
    let known: BTreeMap<Key, u32> = living.clone().map(|(id, server)| (key(server), *id)).collect();
    let busy = living.map(|(id, _)| *id).chain(quarantine.servers.iter().copied());
    let mut ids = Ids::new("servers", kernel.capacities.servers, busy);
    let mut kept = BTreeSet::new();
    let mut all = Vec::new();
    for (service, id) in tables.services.iter().zip(places.services) {
        let mut references = Vec::new();
        for server in &service.servers {
            let wanted = entry(server, *id, places);
            let reference = if let Some((id, old)) =
                known.get(&key(&wanted)).and_then(|id| Some((*id, kernel.servers.get(id)?)))
            {
                change(id, old, &wanted, draft);
                ServerRef::new(id, old.generation)
            } else {
                create(ids.take()?, wanted, kernel, draft)
            };
            kept.insert(reference.id());
            references.push(reference);
        }
        all.push(references);
    }
    remove(kernel, &kept, draft);
    Ok(all)
}

pub(super) fn is_alive(server: &Server) -> bool {
    ServerState::from_byte(server.state) != ServerState::Gone
}

fn entry(server: &tables::Server, service: u32, places: &Places<'_>) -> Server {
    let next_hop = server
        .next_hop
        .and_then(|(ifindex, mac)| Some(NextHop { mac, device: *places.devices.get(&ifindex)? }));
    Server {
        next_hop: next_hop.unwrap_or_default(),
        state: server.state as u8,
        method: server.method as u8,
        mtu: server.mtu,
        port: U16::new(server.port),
        address: server.address,
        source: server.source,
        source_bits: server.source_bits,
        service,
        host: if server.method == Method::Nat {
            places.hosts.get(&server.address).copied().unwrap_or(0)
        } else {
            0
        },
        ..Server::default()
    }
}

/// The number after the id's last instance: connections that still name that one find it gone.
fn create(id: u32, wanted: Server, kernel: &Kernel, draft: &mut Draft) -> ServerRef {
    let generation = kernel.servers.get(&id).map_or(0, |last| last.generation.wrapping_add(1));
    draft.push(Stage::Servers, Write::RetireServer(id));
    draft.push(Stage::Servers, Write::Server(id, Server { generation, ..wanted }));
    ServerRef::new(id, generation)
}

fn change(id: u32, old: &Server, wanted: &Server, draft: &mut Draft) {
    if old.mtu != wanted.mtu {
        draft.push(Stage::Servers, Write::ServerMtu(id, wanted.mtu));
    }
    if (old.source, old.source_bits) != (wanted.source, wanted.source_bits) {
        draft.push(Stage::Servers, Write::ServerSource(id, wanted.source, wanted.source_bits));
    }
    if old.next_hop != wanted.next_hop {
        draft.push(Stage::Servers, Write::NextHop(id, wanted.next_hop));
    }
    if old.state != wanted.state {
        let new = ServerState::from_byte(wanted.state);
        let stage = if new == ServerState::NoNew { Stage::Drains } else { Stage::Servers };
        draft.push(stage, Write::ServerState(id, new));
    }
}

fn remove(kernel: &Kernel, kept: &BTreeSet<u32>, draft: &mut Draft) {
    for (id, server) in kernel.servers.iter().filter(|(id, server)| is_alive(server) && !kept.contains(id)) {
        draft.push(Stage::Gone, Write::ServerState(*id, ServerState::Gone));
        draft.revive.push(Write::ServerState(*id, ServerState::from_byte(server.state)));
        draft.freed.servers.insert(*id);
    }
}
