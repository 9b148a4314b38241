//! What an operator would look at to see whether two moments are the same.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::support::Balanced;

/// The configuration and its orders, and what the agent keeps in the kernel beside the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) config: String,
    orders: BTreeSet<String>,
    addresses: BTreeSet<String>,
    pins: BTreeSet<String>,
}

impl State {
    pub(super) fn of(balanced: &Balanced) -> Result<Self> {
        Ok(Self {
            config: balanced.site.director.lb("export")?,
            orders: orders(&balanced.lb_json("server list")?)?,
            addresses: addresses(balanced)?,
            pins: pins(balanced)?,
        })
    }

    /// Whether the operator asked for the same.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        (&self.config, &self.orders) == (&other.config, &other.orders)
    }

    /// What differs, for people.
    pub(super) fn compare(&self, found: &Self) -> String {
        let mut text = String::new();
        if self.config != found.config {
            write!(text, "wanted:\n{}\nfound:\n{}\n", self.config, found.config).ok();
        }
        for (wanted, found) in
            [(&self.orders, &found.orders), (&self.addresses, &found.addresses), (&self.pins, &found.pins)]
        {
            text.extend(wanted.difference(found).map(|missing| format!("missing: {missing}\n")));
            text.extend(found.difference(wanted).map(|extra| format!("too many: {extra}\n")));
        }
        text
    }
}

/// The number of the last revision.
pub(super) fn revision(balanced: &Balanced) -> Result<u64> {
    let history = balanced.lb_json("history")?;
    let newest = history.as_array().and_then(|all| all.first()).context("no history")?;
    newest.get("number").and_then(Value::as_u64).with_context(|| format!("no number in {newest}"))
}

fn orders(servers: &Value) -> Result<BTreeSet<String>> {
    let is_set = |server: &Value, key: &str| server.get(key).is_some_and(|value| !value.is_null());
    let servers = servers.as_array().context("no list of servers")?;
    let row = |server: &Value| {
        let key = |key: &str| server.get(key).cloned().unwrap_or_default();
        let [pool, name] = [key("pool"), key("name")];
        format!("{pool} {name} ordered {} leaving {}", is_set(server, "order"), is_set(server, "leaving"))
    };
    Ok(servers.iter().map(row).collect())
}

fn addresses(balanced: &Balanced) -> Result<BTreeSet<String>> {
    let text = balanced.site.director.ip("-o -4 address show")?;
    let word = |line: &str, place: usize| line.split_whitespace().nth(place).unwrap_or_default().to_owned();
    Ok(text.lines().map(|line| format!("{} on {}", word(line, 3), word(line, 1))).collect())
}

/// Every pin with the id of the map, or its size if the script changes that; a link is another one after each attach.
fn pins(balanced: &Balanced) -> Result<BTreeSet<String>> {
    let bpffs = balanced.site.director.directory().join("bpf");
    let mut pins = BTreeSet::new();
    for (directory, is_map) in [("", false), ("maps", true), ("links", false)] {
        let directory = bpffs.join(directory);
        for entry in std::fs::read_dir(&directory).with_context(|| format!("{}", directory.display()))? {
            let path = entry?.path();
            let map = is_map.then(|| aya::maps::MapInfo::from_pin(&path)).transpose()?;
            let is = map.map(|map| if path.ends_with("CONNECTIONS") { map.max_entries() } else { map.id() });
            pins.insert(format!("{} {is:?}", path.display()));
        }
    }
    Ok(pins)
}
