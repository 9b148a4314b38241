//! What the kernel has that the store has not: what the next write would change, in an operator's words.

use super::identity::Identity;
use super::names::Names;
use super::state::Observed;
use super::tables::{Server, Service, Tables};
use super::writer::Writer;
use crate::api::Failure;
use crate::config::diff::{Difference, Kind};
use crate::datapath::tables::{Kernel, Write};
use lb_common::counters::Settings;
use lb_common::flow::{TCP, UDP};
use lb_common::index::place;
use lb_common::maps::{SETTING_ANY_PORT, SETTING_NAT};
use lb_common::server::{Interface, NextHop, ServerState};
use lb_common::service::{ServiceKey, View};
use lb_common::slots::Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

impl Writer {
    /// What has to be written to make the kernel equal to what is stored. Empty while the agent does its work.
    pub(super) fn kernel_differences(&mut self) -> Result<Vec<Difference>, Failure> {
        let comparison = self.compare(&self.desired(), &self.observed.clone(), self.drift_pace())?;
        Ok(self.words_of(&comparison.kernel, &comparison.plan.writes, &comparison.tables))
    }

    /// `writes`, which make `kernel` equal to `tables`, in words.
    pub(super) fn words_of(&self, kernel: &Kernel, writes: &[Write], tables: &Tables) -> Vec<Difference> {
        Words::new((&self.names, tables), kernel, &self.observed).all(writes)
    }
}

/// What is known of the numbers in the tables.
struct Words<'a> {
    services: BTreeMap<u32, &'a Service>,
    servers: BTreeMap<u32, &'a Server>,
    tables: &'a Tables,
    kernel: &'a Kernel,
    observed: &'a Observed,
}

impl<'a> Words<'a> {
    fn new((names, tables): (&'a Names, &'a Tables), kernel: &'a Kernel, observed: &'a Observed) -> Self {
        let servers = names.server_references().into_iter();
        Self {
            services: names.service_ids().into_iter().collect(),
            servers: servers.map(|(reference, _, server)| (reference.id(), server)).collect(),
            tables,
            kernel,
            observed,
        }
    }

    fn all(&self, writes: &[Write]) -> Vec<Difference> {
        let keys: BTreeSet<u32> = writes.iter().filter_map(Write::key).map(|key| place(&key)).collect();
        let settings = writes.iter().rposition(|write| matches!(write, Write::Settings(_)));
        let mut slots = false;
        let mut differences = Vec::new();
        for (number, write) in writes.iter().enumerate() {
            let follows = matches!(write, Write::Index(at, _) if keys.contains(at));
            if follows || (matches!(write, Write::Settings(_)) && settings != Some(number)) {
                continue;
            }
            differences.extend(self.difference(write, slots));
            slots = matches!(write, Write::Slots(..)) || (slots && !matches!(write, Write::Service(..)));
        }
        differences
    }

    /// One write; `slots` tells whether new slots were written for the service that comes next.
    fn difference(&self, write: &Write, slots: bool) -> Option<Difference> {
        match write {
            Write::Settings(to) => {
                Some(changed("settings", String::new(), settings(&self.kernel.settings, to)))
            }
            Write::Interface(device, to) => Some(self.interface(*device, to)),
            Write::NatHost(address, to) => {
                let detail = if to.is_some() { "its answers are translated" } else { "no nat server has it" };
                Some(difference(kind(to.is_some()), "nat-host", IpAddr::from(*address).to_string(), detail))
            }
            Write::Service(id, view) => Some(self.service(*id, *view, slots)),
            Write::ServiceKey(key, to) => {
                let detail = to.map(|id| format!("of service {}", self.service_name(id))).unwrap_or_default();
                Some(difference(kind(to.is_some()), "key", key_words(key), detail))
            }
            Write::Slots(..) | Write::View(..) | Write::RetireService(_) | Write::RetireServer(_) => None,
            Write::Index(place, _) => Some(self.index(*place)),
            Write::Change(slots) => self.slots(slots),
            Write::Server(_, to) => {
                Some(difference(Kind::Added, "server", self.new_server(to), "written anew"))
            }
            Write::ServerState(id, ServerState::Gone) => {
                Some(difference(Kind::Removed, "server", self.server_name(*id), "no service has it"))
            }
            Write::ServerState(id, to) => Some(self.server(*id, |old| {
                let word = |state: ServerState| format!("{state:?}").to_lowercase();
                format!("state {} -> {}", word(ServerState::from_byte(old.state)), word(*to))
            })),
            Write::NextHop(id, to) => Some(
                self.server(*id, |old| format!("next hop {} -> {}", self.hop(old.next_hop), self.hop(*to))),
            ),
            Write::ServerMtu(id, to) => Some(self.server(*id, |old| format!("mtu {} -> {to}", old.mtu))),
            Write::ServerSource(id, to, bits) => Some(self.server(*id, |old| {
                let (from, to) = (IpAddr::from(old.source), IpAddr::from(*to));
                format!("tunnel source {from} -> {to}, {bits} bits by flow")
            })),
        }
    }

    /// A word of the index that does not fit the keys.
    fn index(&self, at: u32) -> Difference {
        let keys = self.kernel.service_keys.keys().filter(|key| place(key) == at);
        let names: Vec<String> = keys.map(key_words).collect();
        let name = if names.is_empty() { format!("place {at}") } else { names.join(" and ") };
        changed("index", name, "which service its packets are for".to_owned())
    }

    /// Slots that change in place: all are of one service.
    fn slots(&self, slots: &[(u32, Slot)]) -> Option<Difference> {
        let (index, _) = slots.first()?;
        let views =
            self.kernel.services.iter().filter_map(|(id, view)| Some((id, self.kernel.views.get(view)?)));
        let holds =
            |view: &View| (view.slots.first..view.slots.first.saturating_add(view.slots.len)).contains(index);
        let (id, _) = views.into_iter().find(|(_, view)| holds(view))?;
        Some(changed("service", self.service_name(*id), "which server gets which connections".to_owned()))
    }

    fn interface(&self, device: u16, to: &Interface) -> Difference {
        let old = self.kernel.interfaces.get(&device);
        if to.ifindex == 0 {
            let name = old.map_or(0, |old| old.ifindex);
            return difference(
                Kind::Removed,
                "interface",
                self.observed.link_name(name),
                "packets left by it",
            );
        }
        let detail = format!("MAC address {}, mtu {}", mac(to.mac), to.mtu);
        let kind = if old.is_some() { Kind::Changed } else { Kind::Added };
        difference(kind, "interface", self.observed.link_name(to.ifindex), detail)
    }

    fn service(&self, id: u32, view: u32, slots: bool) -> Difference {
        let is_there = self.kernel.services.contains_key(&id);
        let kind = match (view, is_there) {
            (0, _) => Kind::Removed,
            (_, true) => Kind::Changed,
            (_, false) => Kind::Added,
        };
        let detail = match (kind, slots) {
            (Kind::Removed, _) => "it is not configured",
            (_, true) => "which server gets which connections",
            (_, false) => "its settings",
        };
        difference(kind, "service", self.service_name(id), detail)
    }

    fn server(&self, id: u32, detail: impl FnOnce(&lb_common::server::Server) -> String) -> Difference {
        let old = self.kernel.servers.get(&id).copied().unwrap_or_default();
        changed("server", self.server_name(id), detail(&old))
    }

    fn hop(&self, hop: NextHop) -> String {
        if !hop.is_known() {
            return "unknown".to_owned();
        }
        let device = self.kernel.interfaces.get(&hop.device).map(|device| device.ifindex);
        let device =
            device.map_or_else(|| format!("device {}", hop.device), |index| self.observed.link_name(index));
        format!("{} by {device}", mac(hop.mac))
    }

    fn service_name(&self, id: u32) -> String {
        self.services.get(&id).map_or_else(|| format!("number {id}"), |service| service.name.clone())
    }

    /// The name of a server that the kernel has; its address where it is none of ours.
    fn server_name(&self, id: u32) -> String {
        let strange = || match self.kernel.servers.get(&id) {
            Some(entry) => format!("number {id} at {}", IpAddr::from(entry.address)),
            None => format!("number {id}"),
        };
        self.servers.get(&id).map_or_else(strange, |server| format!("{}/{}", server.pool, server.name))
    }

    fn new_server(&self, entry: &lb_common::server::Server) -> String {
        let same = |server: &&Server| Identity::from(*server) == Identity::from(entry);
        let found = self.tables.services.iter().flat_map(|service| &service.servers).find(same);
        let address = || IpAddr::from(entry.address).to_string();
        found.map_or_else(address, |server| format!("{}/{}", server.pool, server.name))
    }
}

/// Which settings change.
fn settings(old: &Settings, new: &Settings) -> String {
    let rows = [
        ("schema", old.schema.to_string(), new.schema.to_string()),
        ("features", features(old.flags), features(new.flags)),
        ("sampling", old.sample_period.to_string(), new.sample_period.to_string()),
        ("answers per second", old.answers_per_second.to_string(), new.answers_per_second.to_string()),
    ];
    let changed = rows.into_iter().filter(|(_, old, new)| old != new);
    changed.map(|(name, old, new)| format!("{name} {old} -> {new}")).collect::<Vec<_>>().join(", ")
}

fn features(flags: u32) -> String {
    let known = [(SETTING_ANY_PORT, "any port"), (SETTING_NAT, "nat")];
    let rest = known.iter().fold(flags, |rest, (flag, _)| rest & !flag);
    let mut words: Vec<String> =
        known.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, word)| (*word).to_owned()).collect();
    words.extend((rest != 0).then(|| format!("{rest:#x}")));
    if words.is_empty() { "none".to_owned() } else { words.join(" and ") }
}

/// A key, as an operator types it.
pub(super) fn key_words(key: &ServiceKey) -> String {
    let port = if key.port.get() == 0 { "any".to_owned() } else { key.port.to_string() };
    let protocol = match key.protocol {
        TCP => "tcp".to_owned(),
        UDP => "udp".to_owned(),
        other => other.to_string(),
    };
    match IpAddr::from(key.address) {
        IpAddr::V4(v4) => format!("{v4}:{port}/{protocol}"),
        IpAddr::V6(v6) => format!("[{v6}]:{port}/{protocol}"),
    }
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

fn changed(object: &str, name: String, detail: String) -> Difference {
    difference(Kind::Changed, object, name, detail)
}

fn difference(change: Kind, object: &str, name: String, detail: impl Into<String>) -> Difference {
    Difference { change, object: object.to_owned(), name, detail: detail.into() }
}

const fn kind(is_there: bool) -> Kind {
    if is_there { Kind::Added } else { Kind::Removed }
}

#[cfg(test)]
mod tests;
