//! The remembered flows: listing them, finding the two sides of a nat connection, sweeping out what is idle.

use super::error::Result;
use super::lanes::{Lanes, Need};
use super::map::Table;
use super::maps::Maps;
use super::sweep::{Rules, SweepReport};
use lb_common::connection::Connection;
use lb_common::flow::{FlowKey, Owner, TCP, UDP};
use lb_common::server::{Method, Server, ServerState};
use lb_common::service::{Timeouts, View};
use zerocopy::network_endian::U16;

/// Longest sweep step between two looks at the table: entries that are judged together.
const STEP: usize = 4_096;

impl Maps {
    /// Hands every entry of `CONNECTIONS` to `visit`: flows of clients and, for nat, their reply sides.
    pub(super) fn for_each_connection(&self, mut visit: impl FnMut(&FlowKey, &Connection)) -> Result<()> {
        self.connections.for_each(|key, connection| {
            visit(key, connection);
            Ok(())
        })
    }

    /// Hands every entry of `HALF_OPEN` to `visit`.
    pub(super) fn for_each_half_open(&self, mut visit: impl FnMut(&FlowKey, &Connection)) -> Result<()> {
        self.half_open.for_each(|key, connection| {
            visit(key, connection);
            Ok(())
        })
    }

    /// The other side of a client's flow on a nat server, in whichever table it is.
    pub(super) fn reply_side(&self, key: &FlowKey, connection: &Connection) -> Result<Option<Connection>> {
        let found = match self.peer(&self.connections, key, connection)? {
            None => self.peer(&self.half_open, key, connection)?,
            found => found,
        };
        Ok(found.map(|(_, reply)| reply))
    }

    /// Forgets the flows that have been idle for longer than they may, and counts the others.
    pub(super) fn sweep(&self, now: u32) -> Result<SweepReport> {
        let mut report = SweepReport { limit: self.connections.entries(), ..SweepReport::default() };
        let mut lanes = Lanes::new(self);
        self.sweep_table(&self.connections, (now, &mut lanes), &mut report)?;
        let opened = report.total;
        self.sweep_table(&self.half_open, (now, &mut lanes), &mut report)?;
        report.half_open = report.total - opened;
        report.total = opened;
        Ok(report)
    }

    fn sweep_table(
        &self,
        table: &Table<FlowKey, Connection>,
        (now, lanes): (u32, &mut Lanes<'_>),
        report: &mut SweepReport,
    ) -> Result<()> {
        let mut idle = Vec::new();
        table.for_each(|key, connection| {
            let rules = self.rules(key, connection);
            let needed = lanes.need_of(key, connection)?;
            if let Need::Deviates(slot) = needed {
                report.deviating.insert(slot);
            }
            if needed == Need::None || rules.is_suspect(connection, now) {
                idle.push(*key);
            } else {
                report.count(key, connection, rules.udp);
            }
            if idle.len() >= STEP {
                self.forget(table, &mut idle, (now, &mut *lanes), report)
            } else {
                Ok(())
            }
        })?;
        self.forget(table, &mut idle, (now, lanes), report)
    }

    /// Looks at each of `idle` again, with its peer, and removes both if neither was seen lately or needs its entry.
    fn forget(
        &self,
        table: &Table<FlowKey, Connection>,
        idle: &mut Vec<FlowKey>,
        (now, lanes): (u32, &mut Lanes<'_>),
        report: &mut SweepReport,
    ) -> Result<()> {
        for key in idle.drain(..) {
            let Some(connection) = table.get(&key)? else { continue };
            let peer = self.peer(table, &key, &connection)?;
            let rules = self.rules(&key, &connection);
            let is_idle = rules.may_forget(&connection, peer.as_ref().map(|(_, peer)| peer), now);
            if !is_idle && lanes.need_of(&key, &connection)? != Need::None {
                report.count(&key, &connection, rules.udp);
                continue;
            }
            report.swept += u64::from(table.remove(&key)?);
            if let Some((peer, _)) = peer {
                report.swept += u64::from(table.remove(&peer)?);
            }
        }
        Ok(())
    }

    /// The other side of a nat connection.
    fn peer(
        &self,
        table: &Table<FlowKey, Connection>,
        key: &FlowKey,
        connection: &Connection,
    ) -> Result<Option<(FlowKey, Connection)>> {
        let Some(server) = self.server(connection.server.id()) else { return Ok(None) };
        let Some(peer) = peer_of(key, &server, self.view_of(server.service).as_ref()) else {
            return Ok(None);
        };
        let found = table.get(&peer)?.filter(|other| other.server == connection.server);
        Ok(found.map(|other| (peer, other)))
    }

    fn rules(&self, key: &FlowKey, connection: &Connection) -> Rules {
        let server = self.server(connection.server.id()).unwrap_or_default();
        let gone = server.state_of(connection.server) == ServerState::Gone;
        let service = if key.owner.is_reply() { server.service } else { key.owner.id() };
        let view = self.view_of(service);
        let protocol = if key.owner.is_reply() {
            key.owner.reply_protocol()
        } else {
            view.map_or(TCP, |view| view.protocol)
        };
        Rules {
            udp: protocol == UDP,
            gone: gone || view.is_none(),
            nat: Method::from_byte(server.method) == Some(Method::Nat),
            timeouts: view.map_or_else(Timeouts::default, |view| view.timeouts),
        }
    }
}

/// The key of the other side, if the server is reached by nat.
fn peer_of(key: &FlowKey, server: &Server, view: Option<&View>) -> Option<FlowKey> {
    if Method::from_byte(server.method) != Some(Method::Nat) {
        return None;
    }
    let view = view?;
    let owner = if key.owner.is_reply() {
        Owner::service(server.service)
    } else {
        Owner::host(server.host, view.protocol)
    };
    let fixed = if key.owner.is_reply() { view.port } else { server.port };
    let port = if server.port == U16::ZERO || fixed == U16::ZERO { key.port } else { fixed };
    Some(FlowKey { owner, port, ..*key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::address::Address;

    fn client_flow(port: u16) -> FlowKey {
        let client = Address::from_v4([198, 51, 100, 7]);
        FlowKey { client, client_port: U16::new(40_000), port: U16::new(port), owner: Owner::service(3) }
    }

    #[test]
    fn the_two_sides_of_a_nat_connection_name_each_other() {
        for (name, protocol, service_port, flow_port, server_port, want) in [
            ("same port", TCP, 80, 80, 0, 80),
            ("another port", TCP, 80, 80, 8080, 8080),
            ("port list", UDP, 0, 5060, 0, 5060),
        ] {
            let server = Server {
                method: Method::Nat as u8,
                service: 3,
                host: 9,
                port: U16::new(server_port),
                ..Server::default()
            };
            let view = View { protocol, port: U16::new(service_port), ..View::default() };
            let flow = client_flow(flow_port);
            let reply = peer_of(&flow, &server, Some(&view)).unwrap();
            assert_eq!(
                reply,
                FlowKey { owner: Owner::host(9, protocol), port: U16::new(want), ..flow },
                "{name}"
            );
            assert_eq!(peer_of(&reply, &server, Some(&view)), Some(flow), "{name}");
        }
    }

    #[test]
    fn only_nat_has_two_sides() {
        for method in [Method::Dr, Method::Ipip] {
            let server = Server { method: method as u8, service: 3, ..Server::default() };
            assert_eq!(peer_of(&client_flow(80), &server, Some(&View::default())), None);
        }
    }
}
