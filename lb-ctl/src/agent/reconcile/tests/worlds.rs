//! Tables to try: made by hand, at random, and what packets should meet in each.

use super::machine::{Meets, Target};
use crate::agent::tables::{Device, Server, Service, Tables};
use lb_common::address::Address;
use lb_common::maps::{SETTING_ANY_PORT, SETTING_NAT};
use lb_common::scheduler::{Member, Scheduler};
use lb_common::server::{Method, ServerRef, ServerState};
use lb_common::service::{FLAG_UNTRACKED, ServiceKey, SlotRange, Timeouts, View};
use proptest::prelude::*;
use std::collections::BTreeMap;
use zerocopy::network_endian::U16;

/// A service at VIP number `vip`; port 0 is any.
pub(super) fn service(vip: u8, ports: &[u16], servers: Vec<Server>) -> Service {
    let address = Address::from_v4([192, 0, 2, vip]);
    let key = |port: &u16| ServiceKey::new(address, U16::new(*port), 6);
    Service {
        name: format!("{vip}:{ports:?}"),
        keys: ports.iter().map(key).collect(),
        address,
        port: if let [port] = ports { *port } else { 0 },
        protocol: 6,
        scheduler: Scheduler::Wrr,
        flags: 0,
        timeouts: Timeouts::default(),
        servers,
    }
}

/// A dr server at address number `host` that is reached by interface 11.
pub(super) fn server(host: u8, weight: u32) -> Server {
    Server {
        pool: "p".into(),
        name: host.to_string(),
        address: Address::from_v4([10, 0, 0, host]),
        port: 0,
        method: Method::Dr,
        weight,
        state: ServerState::Up,
        leaving: false,
        next_hop: Some((11, [host; 6])),
        mtu: 1500,
        source: Address::UNSPECIFIED,
        source_bits: 0,
    }
}

/// Tables with these services on a host with interfaces 11 and 12.
pub(super) fn tables(services: Vec<Service>) -> Tables {
    let any = services.iter().any(|service| service.keys.iter().any(|key| key.port.get() == 0));
    let nat = services.iter().flat_map(|service| &service.servers).any(|server| server.method == Method::Nat);
    let device = |index| (index, Device { mac: [7; 6], mtu: 1500 });
    Tables {
        flags: (if any { SETTING_ANY_PORT } else { 0 }) | (if nat { SETTING_NAT } else { 0 }),
        sample_period: 0,
        answers_per_second: 1000,
        devices: [device(11), device(12)].into(),
        services,
    }
}

/// What packets should meet: every service written from nothing, with any ids at all.
pub(super) fn expected(tables: &Tables) -> BTreeMap<ServiceKey, Meets> {
    tables.services.iter().flat_map(|service| service.keys.iter().map(|key| (*key, meets(service)))).collect()
}

fn meets(service: &Service) -> Meets {
    let number = |place: usize| ServerRef::new(u32::try_from(place).unwrap() + 1, 0);
    let weight = |server: &Server| match (server.state, server.next_hop) {
        (ServerState::Up, Some(_)) => server.weight,
        _ => 0,
    };
    let member = |(place, server): (usize, &Server)| Member {
        server: number(place),
        weight: weight(server),
        address: server.address,
        port: server.port,
    };
    let members: Vec<Member> = service.servers.iter().enumerate().map(member).collect();
    let slots = service.scheduler.fill(&members);
    let view = View {
        address: service.address,
        slots: SlotRange::default(),
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
    };
    (view, slots.into_iter().map(|reference| target(&service.servers[reference.id() as usize - 1])).collect())
}

fn target(server: &Server) -> Target {
    Target {
        address: server.address,
        port: server.port,
        method: server.method as u8,
        state: server.state as u8,
        mtu: server.mtu,
        source: (server.source, server.source_bits),
        way: server.next_hop,
    }
}

prop_compose! {
    fn any_server()(
        host in 1..6_u8,
        (port, method) in prop_oneof![Just((0, Method::Dr)), Just((0, Method::Ipip)), (0..2_u16).prop_map(|port| (port, Method::Nat))],
        weight in 0..4_u32,
        drained in any::<bool>(),
        way in prop::option::of((11..13_u32, 1..3_u8)),
        mtu in prop_oneof![Just(1500_u16), Just(1400)],
        from in 1..3_u8,
        bits in prop_oneof![Just(0_u8), Just(8)],
    ) -> Server {
        Server {
            port,
            method,
            weight,
            state: if drained || weight == 0 { ServerState::NoNew } else { ServerState::Up },
            next_hop: way.map(|(index, mac)| (index, [mac; 6])),
            mtu,
            source: if method == Method::Ipip { Address::from_v4([10, 0, 0, 250 + from]) } else { Address::UNSPECIFIED },
            source_bits: if method == Method::Ipip { bits } else { 0 },
            ..server(host, 1)
        }
    }
}

prop_compose! {
    fn any_servers()(servers in prop::collection::vec(any_server(), 0..5)) -> Vec<Server> {
        let mut seen = std::collections::BTreeSet::new();
        servers.into_iter().filter(|s| seen.insert((s.address, s.port, s.method))).collect()
    }
}

const PORTS: [u16; 4] = [80, 443, 8080, 0];

prop_compose! {
    /// Up to three services on each of two VIPs, which share out four ports; `any` stands alone.
    pub(super) fn any_tables()(
        owners in prop::collection::vec(prop::option::of(0..3_usize), 2 * PORTS.len()),
        servers in prop::collection::vec(any_servers(), 6),
        schedulers in prop::collection::vec(prop_oneof![Just(Scheduler::Rr), Just(Scheduler::Wrr), Just(Scheduler::Sh)], 6),
        silent in any::<bool>(),
        both in any::<bool>(),
    ) -> Tables {
        let mut services = Vec::new();
        for (vip, owners) in owners.chunks(PORTS.len()).enumerate() {
            for owner in 0..3 {
                let place = vip * 3 + owner;
                let ports: Vec<u16> =
                    PORTS.iter().zip(owners).filter(|(_, o)| **o == Some(owner)).map(|(port, _)| *port).collect();
                if ports.is_empty() {
                    continue;
                }
                let made = service(u8::try_from(vip).unwrap() + 1, &ports, servers[place].clone());
                let untracked = if schedulers[place] == Scheduler::Sh { FLAG_UNTRACKED } else { 0 };
                let flags = u8::from(silent) | untracked;
                services.push(Service { scheduler: schedulers[place], flags, ..made });
            }
        }
        let mut tables = tables(services);
        let used = tables.services.iter().flat_map(|s| &s.servers).any(|s| s.next_hop.is_some_and(|(index, _)| index == 12));
        if !both && !used {
            tables.devices.remove(&12);
        }
        tables
    }
}
