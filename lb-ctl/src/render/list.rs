//! Listings of services, servers, VIPs and pools. `list` has the columns of `ipvsadm -L -n`, and the names beside them.

use super::number::utc;
use super::style;
use super::table::{Cell, Table, known, number, text};
use crate::api::{PoolInfo, ServerInfo, ServerSituation, ServiceInfo, Tracking, VipInfo};
use crate::config::intent::{Mark, Order};
use crate::config::model::{Endpoint, OnFailure, ServerAddress};
use std::net::IpAddr;

/// Every service with its servers.
pub fn all(services: &[ServiceInfo]) -> String {
    let mut table = Table::default();
    table.heading(["Prot", "LocalAddress:Port", "Scheduler", "Flags", "", "", "", "Service"]);
    table.heading([
        "  ->",
        "RemoteAddress:Port",
        "Forward",
        "Weight",
        "ActiveConn",
        "InActConn",
        "State",
        "Server",
    ]);
    for service in services {
        let protocol = service.protocol.word().to_uppercase();
        let drop = (service.on_failure == OnFailure::Drop).then_some("drop");
        let slots = (service.tracking == Tracking::Slots).then_some("slots");
        let flags = slots.into_iter().chain(drop).collect::<Vec<_>>().join(",");
        let cells = [text(protocol), text(address(service)), text(service.scheduler), text(flags)];
        let name = text(&service.name).styled(style::HEADING);
        table.row(cells.into_iter().chain([text(""), text(""), text(""), name]).collect::<Vec<_>>());
        for server in &service.servers {
            table.row(member(service, server));
        }
    }
    table.finish() + &problems(&services.iter().flat_map(|service| &service.servers).collect::<Vec<_>>())
}

fn address(service: &ServiceInfo) -> String {
    let endpoint = Endpoint { vip: service.vip, port: service.port.clone(), protocol: service.protocol };
    let endpoint = endpoint.to_string();
    endpoint.rsplit_once('/').map_or(endpoint.clone(), |(address, _)| address.to_owned())
}

fn member(service: &ServiceInfo, server: &ServerInfo) -> Vec<Cell> {
    let port = server.address.port.or(service.port.single());
    let remote = match (port, server.address.ip) {
        (Some(_), ip) => ServerAddress { ip, port }.to_string(),
        (None, IpAddr::V4(v4)) => format!("{v4}:{}", service.port),
        (None, IpAddr::V6(v6)) => format!("[{v6}]:{}", service.port),
    };
    let counts = [number(server.weight), known(server.active), known(server.inactive)];
    let named = [situation(server.state), text(&server.name)];
    [text("  ->"), text(remote), text(server.method)].into_iter().chain(counts).chain(named).collect()
}

fn situation(state: ServerSituation) -> Cell {
    let style = match state {
        ServerSituation::Up => style::GOOD,
        ServerSituation::NoNew
        | ServerSituation::Draining
        | ServerSituation::Leaving
        | ServerSituation::Unused => style::WARNING,
        ServerSituation::Unreachable => style::ERROR,
    };
    text(state.word()).styled(style)
}

/// What needs a look, and what was ordered, by whom.
fn problems(servers: &[&ServerInfo]) -> String {
    let line = |server: &ServerInfo| {
        let (name, problem) = (&server.name, server.problem.as_ref()?);
        Some(style::warning(&format!("server {name} of pool {}: {problem}", server.pool)))
    };
    let note = |server: &ServerInfo| {
        let what = match (&server.order, &server.leaving) {
            (Some(order), _) => order_words(order),
            (None, mark) => format!("leaves {}", since(mark.as_ref()?)),
        };
        Some(style::labelled(
            style::HINT,
            "note",
            &format!("server {} of pool {}: {what}", server.name, server.pool),
        ))
    };
    let all = || servers.iter().copied();
    let mut lines: Vec<_> = all().filter_map(line).chain(all().filter_map(note)).collect();
    lines.dedup();
    lines.concat()
}

/// What was ordered of a server, by whom and since when.
pub(super) fn order_words(order: &Order) -> String {
    let drain = order.drain.as_ref().map(|mark| format!("draining {}", since(mark)));
    let weight = order.weight.as_ref();
    let weight = weight.map(|it| format!("temporary weight {} {}", it.weight, since(&it.mark)));
    drain.into_iter().chain(weight).collect::<Vec<_>>().join(", ")
}

/// An order of the first format of the store has no signature.
fn since(mark: &Mark) -> String {
    if mark.since == 0 {
        return "since an earlier version".to_owned();
    }
    format!("since {}, by {}", utc(mark.since), mark.by.user)
}

/// The services.
pub fn services(services: &[ServiceInfo]) -> String {
    let mut table = Table::new([
        "Service",
        "Prot",
        "LocalAddress:Port",
        "Scheduler",
        "Tracking",
        "OnFailure",
        "Servers",
        "ActiveConn",
        "InActConn",
        "Pools",
    ]);
    for service in services {
        let is_counted = service.tracking == Tracking::Tracked || !service.servers.is_empty();
        let sum = |of: fn(&ServerInfo) -> Option<u64>| {
            service.servers.iter().map(of).sum::<Option<u64>>().filter(|_| is_counted)
        };
        let up = service.servers.iter().filter(|server| server.state == ServerSituation::Up).count();
        let count = format!("{up}/{}", service.servers.len());
        let style = if up == 0 { style::ERROR } else { style::PLAIN };
        table.row([
            text(&service.name),
            text(service.protocol.word().to_uppercase()),
            text(address(service)),
            text(service.scheduler),
            text(service.tracking.word()),
            text(service.on_failure),
            number(count).styled(style),
            known(sum(|server| server.active)),
            known(sum(|server| server.inactive)),
            text(service.pools.join(" ")),
        ]);
    }
    table.finish()
}

/// The servers.
pub fn servers(servers: &[ServerInfo]) -> String {
    let mut table = Table::new([
        "Pool",
        "Server",
        "RemoteAddress:Port",
        "Forward",
        "Weight",
        "ActiveConn",
        "InActConn",
        "State",
    ]);
    for server in servers {
        table.row([
            text(&server.pool),
            text(&server.name),
            text(server.address),
            text(server.method),
            number(server.weight),
            known(server.active),
            known(server.inactive),
            situation(server.state),
        ]);
    }
    table.finish() + &problems(&servers.iter().collect::<Vec<_>>())
}

/// The VIPs.
pub fn vips(vips: &[VipInfo]) -> String {
    let mut table = Table::new(["VIP", "Announce", "Interface", "Services"]);
    for vip in vips {
        let interface = vip.interface.as_deref().unwrap_or("-");
        table.row([text(vip.address), text(vip.announce), text(interface), text(vip.services.join(" "))]);
    }
    table.finish()
}

/// The pools.
pub fn pools(pools: &[PoolInfo]) -> String {
    let mut table = Table::new(["Pool", "Servers", "Services"]);
    for pool in pools {
        let list = |names: &[String]| if names.is_empty() { "-".to_owned() } else { names.join(" ") };
        table.row([text(&pool.name), text(list(&pool.servers)), text(list(&pool.services))]);
    }
    table.finish()
}
