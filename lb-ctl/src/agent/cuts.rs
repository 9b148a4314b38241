//! The live connections that a change would cut, counted before it is made.

use super::converge::failure;
use super::names::Names;
use super::plan::Plan;
use super::reconcile::Standing;
use super::state::Observed;
use super::writer::Writer;
use crate::api::{Cut, Failure};
use crate::config::intent::ServerName;
use crate::config::model::Config;
use crate::datapath::tables::{Kernel, Write};
use crate::datapath::{self, Result};
use lb_common::connection::{Connection, TcpState};
use lb_common::flow::{FlowKey, UDP};
use lb_common::server::{Method, ServerRef, ServerState};
use lb_common::service::ServiceKey;
use std::collections::{BTreeMap, BTreeSet};
use zerocopy::network_endian::U16;

/// What of the kernel's tables is not there any more after a change.
#[derive(Debug, Default)]
struct Loss {
    /// Where keys lead afterwards.
    keys: BTreeMap<ServiceKey, u32>,
    /// Servers that are gone.
    servers: BTreeSet<u32>,
    /// Devices by which nothing is taken in any more.
    devices: BTreeSet<u8>,
    /// Whether nothing is taken in at all.
    everything: bool,
}

impl Writer {
    /// The live connections that making the configuration `after`, by `plan`, would cut, by service and server.
    pub(super) fn cuts(&self, after: &Config, plan: &Plan) -> std::result::Result<Vec<Cut>, Failure> {
        self.count_cuts(after, plan).map_err(|error| failure(&error))
    }

    fn count_cuts(&self, after: &Config, plan: &Plan) -> Result<Vec<Cut>> {
        let takes_away =
            |write: &Write| matches!(write, Write::ServerState(_, ServerState::Gone) | Write::ServiceKey(..));
        let detached = detached(&self.stored.config, after, &self.observed);
        if detached.is_empty() && !plan.writes.iter().any(takes_away) {
            return Ok(Vec::new());
        }
        let kernel = self.datapath.snapshot()?;
        let mut loss = Loss::of(&plan.writes, &kernel);
        let devices = kernel.interfaces.iter().filter(|(_, interface)| detached.contains(&interface.ifindex));
        loss.devices = devices.filter_map(|(device, _)| u8::try_from(*device).ok()).collect();
        loss.everything = !detached.is_empty() && after.interfaces.is_empty();
        self.count_lost(&loss, &kernel)
    }

    fn count_lost(&self, loss: &Loss, kernel: &Kernel) -> Result<Vec<Cut>> {
        let now = datapath::now_ms()?;
        let mut found = BTreeMap::new();
        let mut visit = |key: &FlowKey, connection: &Connection, half_open| {
            if !key.owner.is_reply()
                && loss.cuts(key, connection, kernel)
                && is_live(key, connection, (kernel, half_open, now))
            {
                let count: &mut u64 = found.entry((key.owner.id(), connection.server)).or_default();
                *count = count.saturating_add(1);
            }
        };
        self.datapath.for_each_connection(|key, connection| visit(key, connection, false))?;
        self.datapath.for_each_half_open(|key, connection| visit(key, connection, true))?;
        let counted = found.into_iter().map(|(flow, count)| (flow, Some(count)));
        let uncounted = self.uncounted(loss, kernel)?.into_iter().map(|flow| (flow, None));
        let mut cuts: BTreeMap<_, _> = counted.collect();
        cuts.extend(uncounted);
        let named = |((service, server), count)| named(&self.names, service, server, count);
        Ok(cuts.into_iter().map(named).collect())
    }

    /// Services and servers that are lost together with connections that no table has: those of slots which ever sent
    /// packets there.
    fn uncounted(&self, loss: &Loss, kernel: &Kernel) -> Result<Vec<(u32, ServerRef)>> {
        let ended = Standing::of(kernel).owners.into_iter().filter_map(|owner| {
            let server = kernel.servers.get(&owner.id())?;
            let is_there = server.state_of(owner) != ServerState::Gone;
            (is_there && loss.ends(server.service, owner, kernel)).then_some((server.service, owner))
        });
        let ended: Vec<_> = ended.collect();
        let ids: Vec<_> = ended.iter().map(|(_, owner)| owner.id()).collect();
        let traffic = self.datapath.server_traffic(&ids)?;
        let was_used =
            |owner: &ServerRef| traffic.get(&owner.id()).is_some_and(|traffic| traffic.in_packets > 0);
        Ok(ended.into_iter().filter(|(_, owner)| was_used(owner)).collect())
    }
}

/// The interfaces that have the program with `before` and not with `after`, whatever they are called now.
fn detached(before: &Config, after: &Config, observed: &Observed) -> BTreeSet<u32> {
    let attached = |config: &Config| -> BTreeSet<u32> {
        config.interfaces.iter().filter_map(|interface| observed.configured(&interface.name)).collect()
    };
    let kept: BTreeSet<u32> = attached(after);
    attached(before).into_iter().filter(|index| !kept.contains(index)).collect()
}

impl Loss {
    fn of(writes: &[Write], kernel: &Kernel) -> Self {
        let mut loss = Self { keys: kernel.service_keys.clone(), ..Self::default() };
        for write in writes {
            if let Write::ServiceKey(key, Some(id)) = write {
                loss.keys.insert(*key, *id);
            } else if let Write::ServiceKey(key, None) = write {
                loss.keys.remove(key);
            } else if let Write::ServerState(id, ServerState::Gone) = write {
                loss.servers.insert(*id);
            }
        }
        loss
    }

    /// Whether the replies of a nat server would come in by an interface without the program.
    fn silences(&self, server: ServerRef, kernel: &Kernel) -> bool {
        kernel.servers.get(&server.id()).is_some_and(|server| {
            server.method == Method::Nat as u8
                && u8::try_from(server.next_hop.device).is_ok_and(|device| self.devices.contains(&device))
        })
    }

    /// Whether connections of an untracked TCP service to this server end.
    fn ends(&self, service: u32, server: ServerRef, kernel: &Kernel) -> bool {
        let view = kernel.services.get(&service).and_then(|index| kernel.views.get(index));
        if view.is_none_or(|view| view.protocol == UDP) {
            return false;
        }
        let mut keys = kernel.service_keys.iter().filter(|(_, id)| **id == service);
        self.everything
            || self.servers.contains(&server.id())
            || keys.any(|(key, id)| self.keys.get(key) != Some(id))
    }

    /// Whether the next packet of this flow would not reach its server. UDP only wants a service: another server takes it.
    fn cuts(&self, key: &FlowKey, connection: &Connection, kernel: &Kernel) -> bool {
        let Some(view) = kernel.services.get(&key.owner.id()).and_then(|index| kernel.views.get(index))
        else {
            return false;
        };
        let lead = |port| self.keys.get(&ServiceKey::new(view.address, port, view.protocol));
        let is_reached = lead(key.port).or_else(|| lead(U16::ZERO)) == Some(&key.owner.id());
        self.everything
            || !is_reached
            || self.devices.contains(&connection.device)
            || self.silences(connection.server, kernel)
            || (view.protocol != UDP && self.servers.contains(&connection.server.id()))
    }
}

/// Whether somebody would miss the flow: not one that closes, nor the first packet of one that never came to be.
fn is_live(key: &FlowKey, connection: &Connection, (kernel, half_open, now): (&Kernel, bool, u32)) -> bool {
    let view = kernel.services.get(&key.owner.id()).and_then(|index| kernel.views.get(index));
    let Some(view) = view else { return false };
    let is_alive =
        |server: &lb_common::server::Server| server.state_of(connection.server) != ServerState::Gone;
    let idle = connection.idle(now);
    kernel.servers.get(&connection.server.id()).is_some_and(is_alive)
        && match (view.protocol == UDP, TcpState::from_byte(connection.state)) {
            (true, _) => !half_open && idle <= view.timeouts.udp,
            (false, TcpState::Opening) => idle <= view.timeouts.syn,
            (false, TcpState::Established) => true,
            (false, TcpState::Finishing | TcpState::Closed) => false,
        }
}

fn named(names: &Names, service: u32, server: ServerRef, connections: Option<u64>) -> Cut {
    let unknown = || "unknown".to_owned();
    Cut {
        service: names.service(service).map_or_else(unknown, |service| service.name.clone()),
        server: names
            .server(server)
            .map_or_else(unknown, |server| ServerName::new(&server.pool, &server.name).to_string()),
        connections,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::address::Address;
    use lb_common::flow::{Owner, TCP};
    use lb_common::server::{NextHop, Server};
    use lb_common::service::View;

    const VIP: [u8; 4] = [192, 0, 2, 10];
    const NOW: u32 = 1_000_000;

    fn key(port: u16, protocol: u8) -> ServiceKey {
        ServiceKey::new(Address::from_v4(VIP), U16::new(port), protocol)
    }

    /// Service 1 of TCP at ports 80 and 443, service 2 of UDP at any port; servers 5 and 6.
    fn kernel() -> Kernel {
        let view = |protocol| View { address: Address::from_v4(VIP), protocol, ..View::default() };
        let server = Server { state: ServerState::Up as u8, ..Server::default() };
        Kernel {
            service_keys: [(key(80, TCP), 1), (key(443, TCP), 1), (key(0, UDP), 2)].into(),
            services: [(1, 11), (2, 12)].into(),
            views: [(11, view(TCP)), (12, view(UDP))].into(),
            servers: [(5, server), (6, server)].into(),
            ..Kernel::default()
        }
    }

    fn flow(service: u32, port: u16) -> FlowKey {
        let client = Address::from_v4([198, 51, 100, 7]);
        FlowKey {
            client,
            client_port: U16::new(40_000),
            port: U16::new(port),
            owner: Owner::service(service),
        }
    }

    fn on(server: u32) -> Connection {
        let state = TcpState::Established as u8;
        Connection {
            server: ServerRef::new(server, 0),
            last_seen: NOW,
            device: 3,
            state,
            ..Connection::default()
        }
    }

    #[test]
    fn a_flow_is_cut_when_its_way_or_its_server_goes() {
        let gone = |id| Write::ServerState(id, ServerState::Gone);
        let unkey = |port, protocol| Write::ServiceKey(key(port, protocol), None);
        let (tcp, udp) = (flow(1, 80), flow(2, 53));
        let rows = [
            ("nothing", vec![], tcp, false),
            ("its server", vec![gone(5)], tcp, true),
            ("another server", vec![gone(6)], tcp, false),
            ("its server, of UDP", vec![gone(5)], udp, false),
            ("a server that drains", vec![Write::ServerState(5, ServerState::NoNew)], tcp, false),
            ("its port", vec![unkey(80, TCP)], tcp, true),
            ("another port", vec![unkey(443, TCP)], tcp, false),
            ("its service", vec![unkey(0, UDP)], udp, true),
            ("its port, to another service", vec![Write::ServiceKey(key(80, TCP), Some(9))], tcp, true),
            ("a port of its own beside any", vec![Write::ServiceKey(key(53, UDP), Some(9))], udp, true),
        ];
        for (name, writes, key, want) in rows {
            let kernel = kernel();
            assert_eq!(Loss::of(&writes, &kernel).cuts(&key, &on(5), &kernel), want, "{name}");
        }
        let kernel = kernel();
        let by = |devices: &[u8], everything| {
            let loss =
                Loss { devices: devices.iter().copied().collect(), everything, ..Loss::of(&[], &kernel) };
            loss.cuts(&tcp, &on(5), &kernel)
        };
        assert_eq!([by(&[3], false), by(&[4], false), by(&[], true)], [true, false, true]);
    }

    #[test]
    fn a_flow_is_cut_when_the_replies_of_its_nat_server_come_in_by_an_interface_that_goes() {
        let next_hop = NextHop { device: 4, ..NextHop::default() };
        for (method, want) in [(Method::Dr, false), (Method::Ipip, false), (Method::Nat, true)] {
            let mut kernel = kernel();
            let server = Server { next_hop, method: method as u8, ..kernel.servers[&5] };
            kernel.servers.insert(5, server);
            let loss = Loss { devices: [4].into(), ..Loss::of(&[], &kernel) };
            assert_eq!(loss.cuts(&flow(1, 80), &on(5), &kernel), want, "{method:?}");
        }
    }

    #[test]
    fn only_what_lives_counts() {
        let rows = [
            ("established", 1, TcpState::Established, false, 800_000, true),
            ("closing", 1, TcpState::Finishing, false, 0, false),
            ("closed", 1, TcpState::Closed, false, 0, false),
            ("opening", 1, TcpState::Opening, true, 1_000, true),
            ("never opened", 1, TcpState::Opening, true, 61_000, false),
            ("one datagram", 2, TcpState::Opening, true, 0, false),
            ("a flow of datagrams", 2, TcpState::Established, false, 1_000, true),
            ("an old flow of datagrams", 2, TcpState::Established, false, 301_000, false),
        ];
        for (name, service, state, half_open, idle, want) in rows {
            let connection = Connection { state: state as u8, last_seen: NOW - idle, ..on(5) };
            assert_eq!(is_live(&flow(service, 80), &connection, (&kernel(), half_open, NOW)), want, "{name}");
        }
        assert!(!is_live(&flow(1, 80), &on(7), (&kernel(), false, NOW)), "its server is gone already");
    }
}
