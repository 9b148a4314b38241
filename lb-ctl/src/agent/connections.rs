//! The remembered connections, by name; the two entries of a nat connection are one.

use super::converge::failure;
use super::names::Names;
use super::tables::{Server, Service};
use super::writer::Writer;
use crate::api::{ConnectionFilter, ConnectionInfo, Connections, Failure, FailureKind};
use crate::config::model::Protocol;
use crate::datapath;
use lb_common::connection::{Connection, TcpState};
use lb_common::flow::{FlowKey, UDP};
use lb_common::service::Timeouts;
use std::net::{IpAddr, SocketAddr};

const DEFAULT_LIMIT: u32 = 100;

impl Writer {
    /// Connections that match, established ones first in the order of the tables, then half-open ones.
    pub(super) fn connections(&self, filter: &ConnectionFilter) -> Result<Connections, Failure> {
        self.check_names(filter)?;
        self.find(filter).map_err(|error| failure(&error))
    }

    /// A name that is not there is a mistake, not an empty answer.
    fn check_names(&self, filter: &ConnectionFilter) -> Result<(), Failure> {
        let config = &self.stored.config;
        let mut servers = config.pools.iter().flat_map(|pool| &pool.servers);
        let service = filter.service.as_ref().filter(|name| config.service(name).is_none());
        let server = filter.server.as_ref().filter(|name| servers.all(|server| server.name != **name));
        let rows = [("service", service), ("server", server)];
        match rows.into_iter().find_map(|(what, name)| Some((what, name?))) {
            None => Ok(()),
            Some((what, name)) => {
                Err(Failure::new(FailureKind::NotFound, format!("there is no {what} {name}"))
                    .with_hint(format!("`lb-ctl {what} list` names them")))
            }
        }
    }

    fn find(&self, filter: &ConnectionFilter) -> datapath::Result<Connections> {
        let limit = usize::try_from(filter.limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX);
        let now = datapath::now_ms()?;
        let (mut total, mut found) = (0, Vec::new());
        let mut visit = |key: &FlowKey, connection: &Connection| {
            let info = describe((key, connection), None, &self.names, now);
            if info.is_some_and(|info| matches(filter, &info)) {
                total += 1;
                if found.len() < limit {
                    found.push((*key, *connection));
                }
            }
        };
        self.datapath.for_each_connection(&mut visit)?;
        self.datapath.for_each_half_open(&mut visit)?;
        let mut connections = Vec::new();
        for (key, connection) in &found {
            let reply = self.datapath.reply_side(key, connection)?;
            connections.extend(describe((key, connection), reply.as_ref(), &self.names, now));
        }
        Ok(Connections { total, connections })
    }
}

/// A flow of a client, and for nat with the other direction, in an operator's words.
fn describe(
    (key, connection): (&FlowKey, &Connection),
    reply: Option<&Connection>,
    names: &Names,
    now: u32,
) -> Option<ConnectionInfo> {
    if key.owner.is_reply() {
        return None;
    }
    let service = names.service(key.owner.id())?;
    let server = names.server(connection.server);
    let udp = service.protocol == UDP;
    let state_of = |connection: &Connection| TcpState::from_byte(connection.state);
    let own = state_of(connection);
    let state = reply.map_or(own, |reply| datapath::together(own, state_of(reply)));
    let idle_ms = reply.map_or(u32::MAX, |reply| reply.idle(now)).min(connection.idle(now));
    Some(ConnectionInfo {
        protocol: if udp { Protocol::Udp } else { Protocol::Tcp },
        client: SocketAddr::new(key.client.into(), key.client_port.get()),
        vip: SocketAddr::new(service.address.into(), key.port.get()),
        service: service.name.clone(),
        server: server.map(|server| server.name.clone()),
        destination: server.map(|server| destination(server, key)),
        state: state_word(udp, state).to_owned(),
        idle_ms,
        expires_ms: lifetime(service, udp, state).saturating_sub(idle_ms),
    })
}

fn destination(server: &Server, key: &FlowKey) -> SocketAddr {
    SocketAddr::new(IpAddr::from(server.address), if server.port == 0 { key.port.get() } else { server.port })
}

const fn state_word(udp: bool, state: TcpState) -> &'static str {
    match (udp, state) {
        (true, _) => "udp",
        (false, TcpState::Opening) => "syn",
        (false, TcpState::Established) => "established",
        (false, TcpState::Finishing) => "fin",
        (false, TcpState::Closed) => "closed",
    }
}

const fn lifetime(service: &Service, udp: bool, state: TcpState) -> u32 {
    let Timeouts { established, syn, fin, closed, udp: of_udp } = service.timeouts;
    match (udp, state) {
        (true, _) => of_udp,
        (false, TcpState::Opening) => syn,
        (false, TcpState::Established) => established,
        (false, TcpState::Finishing) => fin,
        (false, TcpState::Closed) => closed,
    }
}

fn matches(filter: &ConnectionFilter, info: &ConnectionInfo) -> bool {
    filter.client.is_none_or(|client| info.client.ip() == client)
        && filter.service.as_ref().is_none_or(|service| info.service == *service)
        && filter.server.as_ref().is_none_or(|server| info.server.as_ref() == Some(server))
}
