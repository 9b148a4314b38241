//! The rule of the sweep, and what a sweep found.

use lb_common::connection::{Connection, RENEWAL_MS, TcpState};
use lb_common::flow::FlowKey;
use lb_common::server::ServerRef;
use lb_common::service::Timeouts;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of the service and the server of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// Whether it is UDP.
    pub(super) udp: bool,
    /// Whether its server or its service is gone.
    pub(super) gone: bool,
    /// Whether its server is reached by nat, so that there is another side.
    pub(super) nat: bool,
    /// The idle times of its service.
    pub(super) timeouts: Timeouts,
}

impl Rules {
    /// Whether an entry may be forgotten: it and, for nat, the other side `peer` have been silent for too long.
    pub(super) fn may_forget(&self, entry: &Connection, peer: Option<&Connection>, now: u32) -> bool {
        let idle = peer.map_or(u32::MAX, |peer| peer.idle(now)).min(entry.idle(now));
        idle > self
            .lifetime(TcpState::from_byte(entry.state), peer.map(|peer| TcpState::from_byte(peer.state)))
    }

    /// Whether an entry may be forgotten if the other side, not looked at yet, is as silent as it may be.
    pub(super) fn is_suspect(&self, entry: &Connection, now: u32) -> bool {
        let state = TcpState::from_byte(entry.state);
        entry.idle(now) > self.lifetime(state, self.nat.then_some(state))
    }

    /// Milliseconds of silence after which a flow in `state` is forgotten.
    fn lifetime(&self, state: TcpState, peer: Option<TcpState>) -> u32 {
        let Timeouts { established, syn, fin, closed, udp } = self.timeouts;
        // An entry may be as much older than its flow as the program lets it be.
        let lifetime = match peer.map_or(state, |peer| together(state, peer)) {
            _ if self.udp => udp.saturating_add(RENEWAL_MS),
            TcpState::Closed => closed,
            TcpState::Finishing => fin,
            TcpState::Established => established.saturating_add(RENEWAL_MS),
            TcpState::Opening => syn,
        };
        if self.gone { lifetime.min(closed) } else { lifetime }
    }
}

/// The state of a nat connection whose two directions are in these: closed once both have sent a FIN.
pub const fn together(one: TcpState, other: TcpState) -> TcpState {
    use TcpState::{Closed, Established, Finishing, Opening};
    match (one, other) {
        (Closed, _) | (_, Closed) | (Finishing, Finishing) => Closed,
        (Finishing, _) | (_, Finishing) => Finishing,
        (Established, _) | (_, Established) => Established,
        (Opening, Opening) => Opening,
    }
}

/// Connections of a server or a service, as IPVS counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Established TCP.
    pub active: u64,
    /// All others: opening, closing, UDP.
    pub inactive: u64,
}

impl std::ops::Add for Load {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { active: self.active + other.active, inactive: self.inactive + other.inactive }
    }
}

/// What a sweep did and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Entries that were removed, of both tables.
    pub swept: u64,
    /// Entries left in `CONNECTIONS`; a nat connection is two.
    pub total: u64,
    /// Entries that `CONNECTIONS` has room for.
    pub limit: u32,
    /// Entries left in `HALF_OPEN`.
    pub half_open: u64,
    /// Entries left of either table that name a server, by its id: one that is not here is free of connections.
    pub named: BTreeMap<u32, u64>,
    /// Connections of each server; a nat connection is one, a flow in `HALF_OPEN` is inactive.
    pub servers: BTreeMap<ServerRef, Load>,
    /// Connections of each service, by its id.
    pub services: BTreeMap<u32, Load>,
    /// Slots of untracked services, by index, from which remembered flows deviate.
    pub deviating: BTreeSet<u32>,
}

impl SweepReport {
    /// Counts an entry that stays. A UDP flow is inactive, whatever its byte says.
    pub(super) fn count(&mut self, key: &FlowKey, connection: &Connection, udp: bool) {
        self.total += 1;
        *self.named.entry(connection.server.id()).or_default() += 1;
        if key.owner.is_reply() {
            return;
        }
        let active = u64::from(!udp && TcpState::from_byte(connection.state) == TcpState::Established);
        let server = self.servers.entry(connection.server).or_default();
        let service = self.services.entry(key.owner.id()).or_default();
        for load in [server, service] {
            load.active += active;
            load.inactive += 1 - active;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TcpState::{Closed, Established, Finishing, Opening};
    use lb_common::address::Address;
    use lb_common::flow::Owner;
    use zerocopy::network_endian::U16;

    const NOW: u32 = 2_000_000;
    const TIMEOUTS: Timeouts = Timeouts { established: 900, syn: 60, fin: 120, closed: 10, udp: 300 };

    fn silent(state: TcpState, for_ms: u32) -> Connection {
        Connection { state: state as u8, last_seen: NOW - for_ms, ..Connection::default() }
    }

    #[test]
    fn each_state_has_its_time() {
        let tcp = Rules { udp: false, gone: false, nat: false, timeouts: TIMEOUTS };
        let rows = [
            ("opening", tcp, Opening, None, 60),
            ("established", tcp, Established, None, 900 + RENEWAL_MS),
            ("one direction seen, it finished", tcp, Finishing, None, 120),
            ("reset", tcp, Closed, None, 10),
            ("nat, opening", tcp, Opening, Some(Opening), 60),
            ("nat, the server has not answered", tcp, Established, Some(Opening), 900 + RENEWAL_MS),
            ("nat, the client is silent", tcp, Opening, Some(Established), 900 + RENEWAL_MS),
            ("nat, half closed", tcp, Finishing, Some(Established), 120),
            ("nat, half closed by the server", tcp, Established, Some(Finishing), 120),
            ("nat, closed by both", tcp, Finishing, Some(Finishing), 10),
            ("nat, reset by the server", tcp, Established, Some(Closed), 10),
            ("udp", Rules { udp: true, ..tcp }, Opening, None, 300 + RENEWAL_MS),
            ("udp, whatever its byte says", Rules { udp: true, ..tcp }, Closed, None, 300 + RENEWAL_MS),
            ("server gone", Rules { gone: true, ..tcp }, Established, None, 10),
            ("server gone, udp", Rules { udp: true, gone: true, ..tcp }, Opening, None, 10),
        ];
        for (name, rules, state, peer, lifetime) in rows {
            for (idle, want) in [(lifetime, false), (lifetime + 1, true)] {
                let peer = peer.map(|state| silent(state, idle));
                let rules = Rules { nat: peer.is_some(), ..rules };
                let entry = silent(state, idle);
                assert_eq!(rules.may_forget(&entry, peer.as_ref(), NOW), want, "{name} after {idle} ms");
                let suspect =
                    rules.is_suspect(&entry, NOW) || peer.is_some_and(|peer| rules.is_suspect(&peer, NOW));
                assert!(suspect || !want, "{name} after {idle} ms is never looked at");
            }
        }
    }

    #[test]
    fn either_side_keeps_a_nat_connection() {
        let rules = Rules { udp: false, gone: false, nat: false, timeouts: TIMEOUTS };
        let (old, fresh) = (silent(Established, 901 + RENEWAL_MS), silent(Established, 5));
        assert!(!rules.may_forget(&old, Some(&fresh), NOW));
        assert!(!rules.may_forget(&fresh, Some(&old), NOW));
        assert!(rules.may_forget(&old, Some(&old), NOW));
    }

    #[test]
    fn a_nat_connection_counts_once_and_names_its_server_twice() {
        let flow = FlowKey {
            client: Address::from_v4([198, 51, 100, 7]),
            client_port: U16::new(1),
            port: U16::new(80),
            owner: Owner::service(4),
        };
        let connection = Connection { server: ServerRef::new(6, 1), ..silent(Established, 0) };
        let mut report = SweepReport::default();
        report.count(&flow, &connection, false);
        report.count(&FlowKey { owner: Owner::host(2, lb_common::flow::TCP), ..flow }, &connection, false);
        let opening = Connection { state: Opening as u8, ..connection };
        report.count(&FlowKey { client_port: U16::new(2), ..flow }, &opening, false);
        report.count(&FlowKey { client_port: U16::new(3), ..flow }, &connection, true);
        let load = Load { active: 1, inactive: 2 };
        assert_eq!(report.servers, BTreeMap::from([(ServerRef::new(6, 1), load)]));
        assert_eq!(report.services, BTreeMap::from([(4, load)]));
        assert_eq!(report.named, BTreeMap::from([(6, 4)]));
        assert_eq!(report.total, 4);
    }
}
