//! From what the operator wants and what the network looks like to the tables that the kernel should hold.
//!
//! Pure: no clock, no I/O, no kernel ids.

use super::identity::Identity;
use super::state::{Desired, Observed, Way};
use super::tables::{Device, Server, Service, Tables};
use crate::config::model::{self, Prefix};
use crate::neighbour::LinkKind;
use lb_common::address::Address;
use lb_common::flow::{TCP, UDP};
use lb_common::maps::{SETTING_ANY_PORT, SETTING_NAT};
use lb_common::scheduler::Scheduler;
use lb_common::server::{Method, ServerState};
use lb_common::service::{FLAG_SILENT, FLAG_UNTRACKED, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};
use zerocopy::network_endian::U16;

/// Resets and ICMP errors per second and CPU.
const ANSWERS_PER_SECOND: u32 = 1_000;

/// The hash of a flow has no more bits.
const MAX_SOURCE_BITS: u8 = 32;

/// The tables for `desired` on a host that looks like `observed`.
pub fn compile(desired: &Desired, observed: &Observed) -> Tables {
    let services: Vec<Service> =
        desired.config.services.iter().map(|s| service(s, desired, observed)).collect();
    Tables {
        flags: flags(&services),
        sample_period: 0,
        answers_per_second: ANSWERS_PER_SECOND,
        devices: devices(desired, observed, &services),
        services,
    }
}

fn flags(services: &[Service]) -> u32 {
    let any_port = services.iter().any(|service| service.keys.iter().any(|key| key.port.get() == 0));
    let nat =
        services.iter().any(|service| service.servers.iter().any(|server| server.method == Method::Nat));
    (if any_port { SETTING_ANY_PORT } else { 0 }) | (if nat { SETTING_NAT } else { 0 })
}

/// The interfaces with the program, because nat's answers leave by the one that the client came in by, and those of servers.
fn devices(desired: &Desired, observed: &Observed, services: &[Service]) -> BTreeMap<u32, Device> {
    let attached =
        desired.config.interfaces.iter().filter_map(|interface| Some(observed.link(&interface.name)?.0));
    let attached: BTreeSet<u32> = attached.chain(observed.renamed.keys().copied()).collect();
    // The program of a bond runs on its members, and frames come in by those.
    let members = observed.links.iter().filter(|(_, link)| {
        let is_bond = |index: &u32| observed.links.get(index).is_some_and(|link| link.kind == LinkKind::Bond);
        link.master.is_some_and(|master| attached.contains(&master) && is_bond(&master))
    });
    let attached = attached.iter().copied().chain(members.map(|(index, _)| *index));
    let used =
        services.iter().flat_map(|service| &service.servers).filter_map(|server| Some(server.next_hop?.0));
    attached.chain(used).filter_map(|index| Some((index, device(index, observed)?))).collect()
}

fn device(ifindex: u32, observed: &Observed) -> Option<Device> {
    let link = observed.links.get(&ifindex)?;
    Some(Device { mac: link.mac?, mtu: link.mtu })
}

fn service(service: &model::Service, desired: &Desired, observed: &Observed) -> Service {
    let address = Address::from(service.vip);
    let protocol = protocol(service.protocol);
    let key = |port| ServiceKey::new(address, U16::new(port), protocol);
    let ports: BTreeSet<u16> =
        if service.port == model::Ports::Any { [0].into() } else { service.port.iter().collect() };
    Service {
        name: service.name.clone(),
        keys: ports.into_iter().map(key).collect(),
        address,
        port: service.port.single().unwrap_or(0),
        protocol,
        scheduler: scheduler(service.scheduler),
        flags: service_flags(service),
        timeouts: service.timeouts.milliseconds(),
        servers: servers(service, desired, observed),
    }
}

fn service_flags(service: &model::Service) -> u8 {
    let silent = if service.on_failure == model::OnFailure::Drop { FLAG_SILENT } else { 0 };
    silent | if service.is_untracked() { FLAG_UNTRACKED } else { 0 }
}

/// A server that two pools of the service name is taken once, as the first one has it. Those that leave come last.
fn servers(service: &model::Service, desired: &Desired, observed: &Observed) -> Vec<Server> {
    let members = desired.config.members_of(service);
    let members = members.map(|(pool, each)| server(pool, each, desired, observed));
    let leaving = desired.intent.leaving(&service.name).map(|leaving| Server {
        weight: 0,
        state: ServerState::NoNew,
        leaving: true,
        ..server(&leaving.pool, &leaving.server, desired, observed)
    });
    let mut seen = BTreeSet::new();
    members.chain(leaving).filter(|server| seen.insert(Identity::from(server))).collect()
}

fn server(pool: &str, server: &model::Server, desired: &Desired, observed: &Observed) -> Server {
    // A dr server that left the segment gets nothing: the router would send its packets back here.
    let on_link = |way: &&Way| server.method != model::Method::Dr || way.gateway.is_none();
    let way = observed.way(server.address.ip).filter(on_link);
    let drained = desired.intent.is_drained(pool, &server.name);
    let weight = desired.intent.weight(pool, server);
    let (ip, port, method) = server.identity();
    let method = self::method(method);
    let (source, source_bits) = source(method, way, desired.config.tunnel_source(server.address.ip));
    Server {
        pool: pool.to_owned(),
        name: server.name.clone(),
        address: ip.into(),
        port,
        method,
        weight: u32::from(weight),
        state: if drained || weight == 0 { ServerState::NoNew } else { ServerState::Up },
        leaving: false,
        next_hop: way.filter(|way| device(way.ifindex, observed).is_some()).and_then(next_hop),
        mtu: way.filter(|_| !observed.generic).map_or(0, |way| way.mtu),
        source,
        source_bits,
    }
}

fn next_hop(way: &Way) -> Option<(u32, crate::neighbour::Mac)> {
    Some((way.ifindex, way.mac?))
}

/// The outer source of a tunnel, and how many of its low bits differ from flow to flow.
fn source(method: Method, way: Option<&Way>, prefix: Option<Prefix>) -> (Address, u8) {
    match prefix {
        _ if method != Method::Ipip => (Address::UNSPECIFIED, 0),
        Some(prefix) => (prefix.first().into(), prefix.host_bits().min(MAX_SOURCE_BITS)),
        None => (way.and_then(|way| way.source).map_or(Address::UNSPECIFIED, Address::from), 0),
    }
}

/// The IP protocol number.
pub const fn protocol(protocol: model::Protocol) -> u8 {
    match protocol {
        model::Protocol::Tcp => TCP,
        model::Protocol::Udp => UDP,
    }
}

const fn scheduler(scheduler: model::Scheduler) -> Scheduler {
    match scheduler {
        model::Scheduler::Rr => Scheduler::Rr,
        model::Scheduler::Wrr => Scheduler::Wrr,
        model::Scheduler::Sh => Scheduler::Sh,
        model::Scheduler::Mh => Scheduler::Mh,
    }
}

/// The forwarding method, as the tables name it.
pub const fn method(method: model::Method) -> Method {
    match method {
        model::Method::Dr => Method::Dr,
        model::Method::Nat => Method::Nat,
        model::Method::Ipip => Method::Ipip,
    }
}

#[cfg(test)]
mod tests;
