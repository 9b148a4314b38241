//! The remembered connections, by name; the two entries of a nat connection are one.

use super::converge::failure;
use super::names::Names;
use super::tables::{Server, Service};
use super::writer::Writer;
use crate::api::{ConnectionFilter, ConnectionInfo, Connections, Failure};
use crate::config::model::Protocol;
use crate::datapath::{self, Result};
use lb_common::connection::{Connection, TcpState};
use lb_common::flow::{FlowKey, UDP};
use lb_common::service::Timeouts;
use std::net::{IpAddr, SocketAddr};

const DEFAULT_LIMIT: u32 = 100;

impl Writer {
    /// Connections that match, established ones first in the order of the tables, then half-open ones.
    pub(super) fn connections(&self, filter: &ConnectionFilter) -> Result<Connections, Failure> {
        let limit = usize::try_from(filter.limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX);
        let mut found = Connections::default();
        let read = || -> Result<()> {
            let now = datapath::now_ms()?;
            let mut visit = |key: &FlowKey, connection: &Connection| {
                if let Some(info) =
                    describe(key, connection, &self.names, now).filter(|info| matches(filter, info))
                {
                    found.total += 1;
                    if found.connections.len() < limit {
                        found.connections.push(info);
                    }
                }
            };
            self.datapath.for_each_connection(&mut visit)?;
            self.datapath.for_each_half_open(&mut visit)
        };
        let mut read = read;
        read().map_err(|error| failure(&error))?;
        Ok(found)
    }
}

fn describe(key: &FlowKey, connection: &Connection, names: &Names, now: u32) -> Option<ConnectionInfo> {
    if key.owner.is_reply() {
        return None;
    }
    let service = names.service(key.owner.id())?;
    let server = names.server(connection.server);
    let udp = service.protocol == UDP;
    let state = TcpState::from_byte(connection.state);
    let idle_ms = connection.idle(now);
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
