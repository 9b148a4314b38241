//! How many entries the tables have room for: as the kernel has them, or as the operator's limits want them.

use lb_common::maps::{
    MAX_CONNECTIONS, MAX_HALF_OPEN, MAX_NAT_HOSTS, MAX_SERVERS, MAX_SERVICE_KEYS, MAX_SERVICES, MAX_SLOTS,
    MAX_VIEWS,
};

/// Entries of each table. Element 0 of `services`, `views`, `servers` and `slots` is never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacities {
    /// `CONNECTIONS`.
    pub connections: u32,
    /// `HALF_OPEN`, whose size is fixed: what it has no room for is forgotten.
    pub half_open: u32,
    /// `SERVICE_KEYS`.
    pub service_keys: u32,
    /// `SERVICES`, `SEQUENCE` and the services' counters.
    pub services: u32,
    /// `VIEWS`.
    pub views: u32,
    /// `SERVERS` and the servers' counters.
    pub servers: u32,
    /// `NAT_HOSTS`.
    pub nat_hosts: u32,
    /// `SLOTS`.
    pub slots: u32,
}

impl Default for Capacities {
    fn default() -> Self {
        Self {
            connections: MAX_CONNECTIONS,
            half_open: MAX_HALF_OPEN,
            service_keys: MAX_SERVICE_KEYS,
            services: MAX_SERVICES,
            views: MAX_VIEWS,
            servers: MAX_SERVERS,
            nat_hosts: MAX_NAT_HOSTS,
            slots: MAX_SLOTS,
        }
    }
}

/// Keys for each service, so that a service of many ports does not take the place of others.
const KEYS_PER_SERVICE: u32 = MAX_SERVICE_KEYS / MAX_SERVICES;
/// Servers for each address of a nat server.
const SERVERS_PER_HOST: u32 = MAX_SERVERS / MAX_NAT_HOSTS;

impl Capacities {
    /// Room for this many connections, services, servers and slots, and for what goes with them.
    #[must_use]
    pub fn of(connections: u32, services: u32, servers: u32, slots: u32) -> Self {
        let usual = Self::default();
        let (services, servers) = (services.saturating_add(1), servers.saturating_add(1));
        Self {
            connections,
            half_open: usual.half_open,
            service_keys: services.saturating_mul(KEYS_PER_SERVICE).max(usual.service_keys),
            services,
            views: services.saturating_mul(2),
            servers,
            nat_hosts: (servers / SERVERS_PER_HOST).max(usual.nat_hosts),
            slots: slots.saturating_add(1),
        }
    }

    /// The maps whose sizes follow from this, with their entries.
    pub(super) const fn entries(&self) -> [(&'static str, u32); 10] {
        [
            ("CONNECTIONS", self.connections),
            ("SERVICE_KEYS", self.service_keys),
            ("SERVICES", self.services),
            ("SEQUENCE", self.services),
            ("SERVICE_COUNTERS", self.services),
            ("VIEWS", self.views),
            ("SERVERS", self.servers),
            ("SERVER_COUNTERS", self.servers),
            ("NAT_HOSTS", self.nat_hosts),
            ("SLOTS", self.slots),
        ]
    }

    /// The maps that have other sizes than these, with the entries that they should have.
    pub(super) fn differing(&self, entries_of: impl Fn(&str) -> Option<u32>) -> Vec<(&'static str, u32)> {
        let differs =
            |(name, entries): &(&'static str, u32)| entries_of(name).is_some_and(|has| has != *entries);
        self.entries().into_iter().filter(differs).collect()
    }
}

/// Whether the size of the map `name` is the operator's to choose.
pub(super) fn is_sized(name: &str) -> bool {
    Capacities::default().entries().iter().any(|(sized, _)| *sized == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_limits_give_the_usual_tables() {
        let usual = Capacities::of(MAX_CONNECTIONS, MAX_SERVICES - 1, MAX_SERVERS - 1, MAX_SLOTS - 1);
        assert_eq!(usual, Capacities::default());
    }

    #[test]
    fn a_limit_changes_its_own_tables_and_those_that_go_with_them() {
        let usual = Capacities::default();
        let of =
            |connections, services, servers, slots| Capacities::of(connections, services, servers, slots);
        let (connections, services) = (MAX_CONNECTIONS, MAX_SERVICES - 1);
        let (servers, slots) = (MAX_SERVERS - 1, MAX_SLOTS - 1);
        let rows: [(&str, Capacities, &[&str]); 7] = [
            ("nothing", of(connections, services, servers, slots), &[]),
            ("connections", of(1_000_000, services, servers, slots), &["CONNECTIONS"]),
            (
                "more services",
                of(connections, 10_000, servers, slots),
                &["SERVICE_KEYS", "SERVICES", "SEQUENCE", "SERVICE_COUNTERS", "VIEWS"],
            ),
            (
                "fewer services keep their keys",
                of(connections, 100, servers, slots),
                &["SERVICES", "SEQUENCE", "SERVICE_COUNTERS", "VIEWS"],
            ),
            (
                "more servers",
                of(connections, services, 99_999, slots),
                &["SERVERS", "SERVER_COUNTERS", "NAT_HOSTS"],
            ),
            ("fewer servers", of(connections, services, 99, slots), &["SERVERS", "SERVER_COUNTERS"]),
            ("slots", of(connections, services, servers, 9_999), &["SLOTS"]),
        ];
        for (name, wanted, want) in rows {
            let entries_of =
                |map: &str| usual.entries().iter().find(|(known, _)| *known == map).map(|(_, n)| *n);
            let differing = wanted.differing(entries_of);
            let names: Vec<&str> = differing.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, want, "{name}");
            assert_eq!(
                wanted.differing(|map| wanted.entries().iter().find(|(m, _)| *m == map).map(|(_, n)| *n)),
                []
            );
        }
    }
}
