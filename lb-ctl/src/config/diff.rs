//! What distinguishes two configurations, in the words of an operator.

use super::intent::{Intent, Leaving, Order};
use super::limits::Limited;
use super::model::{Config, Pool, Server, Service};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Added, changed or removed.
    pub change: Kind,
    /// What it is: `service`, `server`, `pool`, `vip`, `interface`, `tunnel-source`, `limit`, `order`, `leaving`; of the
    /// kernel's tables also `settings`, `key` (what leads to a service), `nat-host`.
    pub object: String,
    /// Its name; a server's is `POOL/SERVER`.
    pub name: String,
    /// What is added or removed, or what changes from what to what.
    pub detail: String,
}

/// One line, as listings have it.
impl Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { change, object, name, detail } = self;
        write!(out, "{} {object}", change.sign())?;
        if !name.is_empty() {
            write!(out, " {name}")?;
        }
        if detail.is_empty() { Ok(()) } else { write!(out, ": {detail}") }
    }
}

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Only in the new one.
    Added,
    /// In both, with other settings.
    Changed,
    /// Only in the old one.
    Removed,
}

impl Kind {
    /// The sign of it in listings.
    pub const fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Changed => '~',
            Self::Removed => '-',
        }
    }
}

/// Settings of one object, in the order in which they are told.
type Settings = Vec<(&'static str, String)>;

/// What has to change in `old` to make it `new`: services first, then pools, servers, VIPs, interfaces, tunnel sources
/// and limits.
pub fn diff(old: &Config, new: &Config) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut compare = |object: &str, old: Vec<(String, Settings)>, new: Vec<(String, Settings)>| {
        differences.extend(compare_objects(object, &old, &new));
    };
    compare("service", services(old), services(new));
    compare("pool", pools(old, new), pools(new, old));
    compare("server", servers(old), servers(new));
    compare("vip", vips(old), vips(new));
    compare("interface", interfaces(old), interfaces(new));
    compare("tunnel-source", tunnel_sources(old), tunnel_sources(new));
    compare("limit", limits(old), limits(new));
    differences
}

/// What differs of that which holds beside a configuration: orders of the operator, and servers that leave.
pub fn intents(old: &Intent, new: &Intent) -> Vec<Difference> {
    let orders = |intent: &Intent| {
        intent
            .orders
            .iter()
            .map(|(name, order)| (name.to_string(), order_settings(order)))
            .collect::<Vec<_>>()
    };
    let mut differences = compare_objects("order", &orders(old), &orders(new));
    let leaving = |intent: &Intent| intent.leaving.iter().map(leaving_settings).collect::<Vec<_>>();
    differences.extend(compare_objects("leaving", &leaving(old), &leaving(new)));
    differences
}

fn order_settings(order: &Order) -> Settings {
    let drain = order.drain.as_ref().map(|_| ("drain", "no new connections".to_owned()));
    let weight = order.weight.as_ref().map(|it| ("weight", it.weight.to_string()));
    drain.into_iter().chain(weight).collect()
}

fn leaving_settings(leaving: &Leaving) -> (String, Settings) {
    let Leaving { service, pool, server, .. } = leaving;
    let name = format!("{pool}/{}", server.name);
    (name, vec![("service", service.clone()), ("until", "its last connection ends".to_owned())])
}

fn compare_objects(object: &str, old: &[(String, Settings)], new: &[(String, Settings)]) -> Vec<Difference> {
    let before: BTreeMap<_, _> = old.iter().map(|(name, settings)| (name, settings)).collect();
    let after: BTreeMap<_, _> = new.iter().map(|(name, settings)| (name, settings)).collect();
    let difference = |change, name: &String, detail| Difference {
        change,
        object: object.to_owned(),
        name: name.clone(),
        detail,
    };
    let removed = old.iter().filter(|(name, _)| !after.contains_key(name));
    let mut differences: Vec<_> =
        removed.map(|(name, settings)| difference(Kind::Removed, name, words(settings))).collect();
    for (name, settings) in new {
        match before.get(name) {
            None => differences.push(difference(Kind::Added, name, words(settings))),
            Some(old) if *old != settings => {
                differences.push(difference(Kind::Changed, name, changes(old, settings)));
            }
            Some(_) => {}
        }
    }
    differences
}

/// Settings that few services have, as all others have them: not told of a whole service.
const USUAL: [(&str, &str); 3] = [("track", "auto"), ("udp", "follow"), ("timeouts", "usual")];

fn words(settings: &Settings) -> String {
    let told = settings.iter().filter(|(key, value)| !USUAL.contains(&(*key, value.as_str())));
    let words: Vec<_> = told.map(|(key, value)| format!("{key} {value}")).collect();
    words.join(", ")
}

/// What changed; a setting that is not there is none.
fn changes(old: &Settings, new: &Settings) -> String {
    let value = |settings: &Settings, key| {
        settings
            .iter()
            .find(|(other, _)| *other == key)
            .map_or_else(|| "none".to_owned(), |(_, value)| value.clone())
    };
    let added = new.iter().filter(|(key, _)| old.iter().all(|(other, _)| other != key));
    let keys = old.iter().chain(added).map(|(key, _)| *key);
    let pairs = keys.map(|key| (key, value(old, key), value(new, key))).filter(|(_, old, new)| old != new);
    let words: Vec<_> = pairs.map(|(key, old, new)| format!("{key} {old} -> {new}")).collect();
    words.join(", ")
}

fn services(config: &Config) -> Vec<(String, Settings)> {
    config.services.iter().map(|service| (service.name.clone(), service_settings(service))).collect()
}

fn service_settings(service: &Service) -> Settings {
    vec![
        ("address", service.endpoint().to_string()),
        ("scheduler", service.scheduler.to_string()),
        ("on-failure", service.on_failure.to_string()),
        ("track", service.track.to_string()),
        ("udp", service.udp.to_string()),
        ("timeouts", service.timeouts.to_string()),
        ("pools", list(&service.pools)),
    ]
}

/// A pool has no settings but the order of its servers. That is told of the servers that are on both sides; the others
/// are told one by one.
fn pools(config: &Config, other: &Config) -> Vec<(String, Settings)> {
    let order = |pool: &Pool| {
        let there = other.pool(&pool.name).map_or(&[][..], |pool| &pool.servers);
        let names = pool.servers.iter().map(|server| &server.name);
        names.filter(|name| there.iter().any(|server| server.name == **name)).cloned().collect::<Vec<_>>()
    };
    let settings = |pool: &Pool| match order(pool) {
        names if names.is_empty() => Vec::new(),
        names => vec![("order", list(names))],
    };
    config.pools.iter().map(|pool| (pool.name.clone(), settings(pool))).collect()
}

fn servers(config: &Config) -> Vec<(String, Settings)> {
    let of_pool = |pool: &Pool| {
        let entry = |server: &Server| (format!("{}/{}", pool.name, server.name), server_settings(server));
        pool.servers.iter().map(entry).collect::<Vec<_>>()
    };
    config.pools.iter().flat_map(of_pool).collect()
}

fn server_settings(server: &Server) -> Settings {
    vec![
        ("address", server.address.to_string()),
        ("method", server.method.to_string()),
        ("weight", server.weight.to_string()),
    ]
}

fn vips(config: &Config) -> Vec<(String, Settings)> {
    config
        .vips
        .iter()
        .map(|vip| (vip.address.to_string(), vec![("announce", vip.announce.to_string())]))
        .collect()
}

fn interfaces(config: &Config) -> Vec<(String, Settings)> {
    config.interfaces.iter().map(|port| (port.name.clone(), vec![("mode", port.mode.to_string())])).collect()
}

fn tunnel_sources(config: &Config) -> Vec<(String, Settings)> {
    config.tunnel_sources.iter().map(|prefix| (prefix.to_string(), Vec::new())).collect()
}

/// Each limit is there with a number, chosen or usual, so that none is ever added or removed.
fn limits(config: &Config) -> Vec<(String, Settings)> {
    let entry = |what: Limited| (what.to_string(), vec![("at most", config.limits.of(what).to_string())]);
    Limited::ALL.map(entry).to_vec()
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(" ") }
}
