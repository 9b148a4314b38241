//! Answers that list: services, servers, VIPs, pools.

use crate::config::intent::{Mark, Order};
use crate::config::model::{Announce, Method, OnFailure, Ports, Protocol, Scheduler, ServerAddress};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A service and its servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceInfo {
    /// Its name.
    pub name: String,
    /// The VIP.
    pub vip: IpAddr,
    /// The ports.
    pub port: Ports,
    /// The protocol.
    pub protocol: Protocol,
    /// The scheduler.
    pub scheduler: Scheduler,
    /// What a client gets that cannot be served.
    pub on_failure: OnFailure,
    /// How its flows find their server.
    pub tracking: Tracking,
    /// The pools, in order.
    pub pools: Vec<String>,
    /// Its servers, in the order of the pools.
    pub servers: Vec<ServerInfo>,
}

/// How the flows of a service find their server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tracking {
    /// By their slots; only what a change may cut is in the table of connections, and connections are not counted.
    Slots,
    /// By the table of connections, which has all of them.
    Tracked,
}

impl Tracking {
    /// The word for it in listings.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Slots => "slots",
            Self::Tracked => "tracked",
        }
    }
}

/// A server, as one service uses it, or as its pool names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Its pool.
    pub pool: String,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: ServerAddress,
    /// The forwarding method.
    pub method: Method,
    /// The weight.
    pub weight: u16,
    /// What it may be given.
    pub state: ServerSituation,
    /// Open connections; `None` where they are not counted.
    pub active: Option<u64>,
    /// Connections that are closing or only half open; `None` where they are not counted.
    pub inactive: Option<u64>,
    /// Why it cannot be forwarded to, when it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What the operator ordered beside the configuration, by whom and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// Who took it out of the service, and when, while it keeps its last connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Mark>,
}

/// What a server may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerSituation {
    /// New and known connections.
    Up,
    /// Its weight is 0: known connections only.
    NoNew,
    /// The operator took it out of rotation: known connections only.
    Draining,
    /// It is configured no more: known connections only, until the last one ends.
    Leaving,
    /// The way to it is not known: nothing.
    Unreachable,
    /// No service uses its pool.
    Unused,
}

impl ServerSituation {
    /// The word for it in listings and in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::NoNew => "no-new",
            Self::Draining => "draining",
            Self::Leaving => "leaving",
            Self::Unreachable => "unreachable",
            Self::Unused => "unused",
        }
    }
}

/// A VIP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipInfo {
    /// The address.
    pub address: IpAddr,
    /// How it is announced.
    pub announce: Announce,
    /// Services that use it.
    pub services: Vec<String>,
    /// The interface that the agent put it on.
    pub interface: Option<String>,
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolInfo {
    /// Its name.
    pub name: String,
    /// Names of its servers.
    pub servers: Vec<String>,
    /// Services that use it.
    pub services: Vec<String>,
}
