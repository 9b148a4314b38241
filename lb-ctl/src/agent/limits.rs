//! Whether what is in use fits the limits, and what the operator can do where it does not. Pure.

use super::ids::{Full, Quarantine};
use crate::api::{Failure, FailureKind, TableUse, Warning};
use crate::config::limits::{Limited, Limits};
use crate::datapath::tables::{Capacities, Kernel};
use lb_common::maps::MAX_NAT_HOSTS;
use lb_common::server::ServerState;
use std::collections::BTreeMap;

/// From this share on, in percent, the use of a table is a warning.
const HIGH: u64 = 80;

/// Refuses limits that are below what is in use.
///
/// Numbers of services and servers and places of slots stay as they are, so the highest in use counts. `connections` is
/// how many entries the table has.
///
/// # Errors
///
/// The first that does not fit, with both numbers.
pub fn check(limits: &Limits, kernel: &Kernel, held: &Quarantine, connections: u64) -> Result<(), Failure> {
    for what in Limited::ALL {
        let (limit, lowest) = (u64::from(limits.of(what)), in_use(what, kernel, held, connections));
        if limit >= lowest {
            continue;
        }
        let fact = match what {
            Limited::Connections => format!("{lowest} are in use"),
            Limited::Services | Limited::Servers => format!("the highest number in use is {lowest}"),
            Limited::Slots => format!("the last slot in use is {lowest}"),
        };
        let failure = Failure::failed(format!("cannot lower the limit of {what} to {limit}: {fact}"));
        let hint = format!("at least {lowest} is possible now; `lb-ctl limits list` shows the use");
        return Err(Failure { kind: FailureKind::Conflict, ..failure.with_hint(hint) });
    }
    Ok(())
}

fn in_use(what: Limited, kernel: &Kernel, held: &Quarantine, connections: u64) -> u64 {
    let alive = |state| ServerState::from_byte(state) != ServerState::Gone;
    let highest = match what {
        Limited::Connections => return connections,
        Limited::Services => {
            let services = kernel.services.keys().chain(kernel.service_keys.values()).chain(&held.services);
            let views = kernel.services.values().chain(&held.views);
            // Two views belong to each service.
            services.copied().chain(views.map(|view| view / 2)).max()
        }
        Limited::Servers => {
            let living = kernel.servers.iter().filter(|(_, server)| alive(server.state)).map(|(id, _)| *id);
            let hosts = kernel.nat_hosts.values().filter(|id| **id >= MAX_NAT_HOSTS).map(|id| id * 2 + 1);
            living.chain(held.servers.iter().copied()).chain(hosts).max()
        }
        Limited::Slots => {
            let views = kernel.views.values().flat_map(|view| [view.slots, view.old_slots]);
            let ranges = views.map(|range| (range.first, range.len)).chain(held.ranges.iter().copied());
            ranges.filter(|(_, len)| *len > 0).map(|(first, len)| first.saturating_add(len - 1)).max()
        }
    };
    u64::from(highest.unwrap_or(0))
}

/// Use and limit of each table; `connections` and `half_open` are how many entries those have.
pub fn table_uses(kernel: &Kernel, connections: u64, half_open: Option<u64>) -> Vec<TableUse> {
    let Capacities { connections: room, half_open: half, services, servers, slots, .. } = kernel.capacities;
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let living =
        kernel.servers.values().filter(|server| ServerState::from_byte(server.state) != ServerState::Gone);
    let used_slots: u64 = kernel.views.values().map(|view| u64::from(view.slots.len)).sum();
    let row =
        |table: &str, used, limit: u32| TableUse { table: table.to_owned(), used, limit: u64::from(limit) };
    let mut rows = vec![row("connections", connections, room)];
    rows.extend(half_open.map(|used| row("half-open", used, half)));
    rows.extend([
        row("services", count(kernel.services.len()), services.saturating_sub(1)),
        row("servers", count(living.count()), servers.saturating_sub(1)),
        row("slots", used_slots, slots.saturating_sub(1)),
    ]);
    rows
}

/// The tables that are nearly full, with what makes them larger.
pub fn warnings(tables: &[TableUse]) -> Vec<Warning> {
    nearly_full_tables(tables).into_values().collect()
}

fn nearly_full(what: Limited, entry: &TableUse) -> Option<Warning> {
    let (used, limit) = (entry.used, entry.limit);
    let percent = used.saturating_mul(100).checked_div(limit)?;
    if percent < HIGH {
        return None;
    }
    let message = format!("{used} of {limit} {what} are in use ({percent} %)");
    Some(Warning { message, hint: Some(raises(what, limit)) })
}

/// The tables that are nearly full, by name, with what is told of each.
pub fn nearly_full_tables(tables: &[TableUse]) -> BTreeMap<&'static str, Warning> {
    let of = |what: Limited| {
        let entry = tables.iter().find(|entry| entry.table == what.word())?;
        Some((what.word(), nearly_full(what, entry)?))
    };
    Limited::ALL.into_iter().filter_map(of).collect()
}

/// What the operator is told when a table has no room.
pub fn full(full: &Full) -> Failure {
    let what = match full.what {
        "services" | "views" => Limited::Services,
        "servers" | "nat hosts" => Limited::Servers,
        "slots" => Limited::Slots,
        _ => return Failure::failed(full.to_string()),
    };
    Failure::failed(full.to_string()).with_hint(raises(what, u64::from(full.limit)))
}

/// The command that makes a table twice as large, or as large as it can be.
fn raises(what: Limited, limit: u64) -> String {
    let highest = u64::from(*what.range().end());
    if limit >= highest {
        return format!("{highest} {what} are the most that this version can have");
    }
    let limit = limit.saturating_mul(2).saturating_add(limit % 2).min(highest);
    format!("`lb-ctl limits set --{what} {limit}` makes room while traffic flows")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::server::Server;
    use lb_common::service::{SlotRange, View};

    fn kernel() -> Kernel {
        let up = Server { state: ServerState::Up as u8, ..Server::default() };
        let view = View { slots: SlotRange { first: 2_000, len: 100 }, ..View::default() };
        Kernel {
            services: [(3, 9)].into(),
            views: [(9, view)].into(),
            servers: [(7, up), (900, Server { generation: 4, ..Server::default() })].into(),
            ..Kernel::default()
        }
    }

    #[test]
    fn a_limit_below_the_use_is_refused_with_both_numbers() {
        let held = Quarantine { servers: [20].into(), ..Quarantine::default() };
        let none = Quarantine::default();
        let limits = Limits::default();
        let rows = [
            ("as usual", limits, &held, Ok(())),
            ("connections", Limits { connections: Some(5_000), ..limits }, &held, Ok(())),
            (
                "fewer connections",
                Limits { connections: Some(4_999), ..limits },
                &held,
                Err("cannot lower the limit of connections to 4999: 5000 are in use"),
            ),
            ("services", Limits { services: Some(4), ..limits }, &held, Ok(())),
            (
                "a view needs them",
                Limits { services: Some(3), ..limits },
                &held,
                Err("cannot lower the limit of services to 3: the highest number in use is 4"),
            ),
            ("servers that are gone are not in use", Limits { servers: Some(7), ..limits }, &none, Ok(())),
            (
                "but while connections may name them",
                Limits { servers: Some(19), ..limits },
                &held,
                Err("cannot lower the limit of servers to 19: the highest number in use is 20"),
            ),
            ("slots", Limits { slots: Some(2_099), ..limits }, &held, Ok(())),
            (
                "fewer slots",
                Limits { slots: Some(2_098), ..limits },
                &held,
                Err("cannot lower the limit of slots to 2098: the last slot in use is 2099"),
            ),
        ];
        for (name, limits, held, want) in rows {
            let checked = check(&limits, &kernel(), held, 5_000).map_err(|failure| failure.message);
            assert_eq!(checked, want.map_err(str::to_owned), "{name}");
        }
    }

    #[test]
    fn four_fifths_are_a_warning_that_names_the_command() {
        let table = |table: &str, used, limit| TableUse { table: table.to_owned(), used, limit };
        let rows = [
            (table("connections", 79, 100), None),
            (
                table("connections", 80, 100),
                Some((
                    "80 of 100 connections are in use (80 %)",
                    "`lb-ctl limits set --connections 200` makes",
                )),
            ),
            (
                table("servers", 1_048_575, 1_048_575),
                Some(("(100 %)", "1048575 servers are the most that this version can have")),
            ),
            (table("services", 60_000, 60_001), Some(("60000 of 60001", "--services 65535`"))),
            (table("half-open", 100, 100), None),
            (table("slots", 0, 0), None),
        ];
        for (entry, want) in rows {
            let warnings = warnings(std::slice::from_ref(&entry));
            let (message, hint) = want.unzip();
            assert_eq!(warnings.len(), usize::from(message.is_some()), "{entry:?}: {warnings:?}");
            for warning in warnings {
                assert!(warning.message.contains(message.unwrap()), "{warning:?}");
                assert!(warning.hint.as_ref().unwrap().contains(hint.unwrap()), "{warning:?}");
            }
        }
    }

    #[test]
    fn a_full_table_names_the_limit_that_makes_room() {
        let rows = [
            ("services", "--services 200"),
            ("views", "--services 200"),
            ("nat hosts", "--servers 200"),
            ("slots", "--slots 200"),
        ];
        for (what, want) in rows {
            let failure = full(&Full { what, wanted: 5, limit: 100 });
            assert!(failure.message.contains("no room for 5 more"), "{failure:?}");
            assert!(failure.hint.unwrap().contains(want), "{what}");
        }
        assert_eq!(full(&Full { what: "devices", wanted: 1, limit: 255 }).hint, None);
    }
}
