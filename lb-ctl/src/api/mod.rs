//! The one wire format: what the CLI asks of the agent and what it answers, as JSON over HTTP on a UNIX socket.
//!
//! Field names are stable: `--json` prints these structures as they are.

pub mod client;
pub mod server;
pub mod socket;
mod status;
mod traffic;

pub use status::{
    AgentInfo, AttachedMode, Changed, DecapInterface, DecapStatus, InterfaceState, InterfaceStatus, PoolInfo,
    ServerInfo, ServerSituation, ServiceInfo, Status, TableUse, VipInfo, Warning,
};
pub use traffic::{
    ConnectionFilter, ConnectionInfo, Connections, ReasonCount, Sample, SampleRequest, ServerTraffic,
    ServiceTraffic, Stats, verdict_word,
};

use crate::config::diff::Difference;
use crate::config::model::{
    Announce, Config, Interface, Method, OnFailure, Ports, Scheduler, Server, Service,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What can be asked of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Changes the configuration; answered with [`Reply::Changed`] when forwarding follows it.
    Change(Change),
    /// How the agent and its interfaces are.
    Status,
    /// Every service with its servers.
    Services,
    /// The servers of one pool, or of all.
    Servers {
        /// Name of the pool.
        pool: Option<String>,
    },
    /// Every VIP that is configured or used.
    Vips,
    /// Every pool.
    Pools,
    /// The counters.
    Stats,
    /// Connections that match.
    Connections(ConnectionFilter),
    /// The configuration.
    Config,
    /// What applying this configuration would change; without one, what the kernel has that the store has not.
    Diff(Option<Config>),
    /// Samples decisions for a while.
    Samples(SampleRequest),
}

/// What the agent answers. On the wire it is the inner value alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// To [`Request::Change`].
    Changed(Changed),
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Services`].
    Services(Vec<ServiceInfo>),
    /// To [`Request::Servers`].
    Servers(Vec<ServerInfo>),
    /// To [`Request::Vips`].
    Vips(Vec<VipInfo>),
    /// To [`Request::Pools`].
    Pools(Vec<PoolInfo>),
    /// To [`Request::Stats`].
    Stats(Stats),
    /// To [`Request::Connections`].
    Connections(Connections),
    /// To [`Request::Config`].
    Config(Config),
    /// To [`Request::Diff`].
    Diff(Vec<Difference>),
    /// To [`Request::Samples`].
    Samples(Vec<Sample>),
}

/// A change of the configuration. Each is applied whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// Attaches the program to an interface and records it.
    Attach(Interface),
    /// Takes the program off an interface and forgets it.
    Detach {
        /// Name of the interface.
        name: String,
    },
    /// Adds a service; its pool is made if it does not exist.
    ServiceAdd(Service),
    /// Changes what is given of a service.
    ServiceSet {
        /// Name of the service.
        name: String,
        /// What changes.
        settings: ServiceSettings,
    },
    /// Removes a service, and the pool of its name when nothing else uses it.
    ServiceRemove {
        /// Name of the service.
        name: String,
    },
    /// Adds a server to a pool, which is made if it does not exist and a service has its name.
    ServerAdd {
        /// Name of the pool.
        pool: String,
        /// The server.
        server: Server,
    },
    /// Changes what is given of a server.
    ServerSet {
        /// Name of the pool.
        pool: String,
        /// Name of the server in it.
        server: String,
        /// What changes.
        settings: ServerSettings,
    },
    /// Removes a server.
    ServerRemove {
        /// Name of the pool.
        pool: String,
        /// Name of the server in it.
        server: String,
    },
    /// Takes a server out of rotation for new connections.
    ServerDrain {
        /// Name of the pool.
        pool: String,
        /// Name of the server in it.
        server: String,
    },
    /// Ends a drain.
    ServerUndrain {
        /// Name of the pool.
        pool: String,
        /// Name of the server in it.
        server: String,
    },
    /// Adds an empty pool.
    PoolAdd {
        /// Name of the pool.
        name: String,
    },
    /// Sets which pools a service uses.
    PoolSet {
        /// Name of the service.
        service: String,
        /// Names of the pools, in order.
        pools: Vec<String>,
    },
    /// Removes a pool that no service uses.
    PoolRemove {
        /// Name of the pool.
        name: String,
    },
    /// Sets what is given of a VIP.
    VipSet {
        /// The VIP.
        address: IpAddr,
        /// How it is announced; `None` leaves that as it is.
        announce: Option<Announce>,
    },
    /// Replaces the whole configuration.
    Apply {
        /// The new configuration.
        config: Config,
        /// Whether it may have no services.
        allow_empty: bool,
    },
}

/// What changes of a service; `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ServiceSettings {
    /// Ports.
    pub port: Option<Ports>,
    /// Scheduler.
    pub scheduler: Option<Scheduler>,
    /// What a client gets that cannot be served.
    pub on_failure: Option<OnFailure>,
}

/// What changes of a server; `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSettings {
    /// Weight.
    pub weight: Option<u16>,
    /// Forwarding method.
    pub method: Option<Method>,
}

/// What kind of failure it was: the HTTP status and the exit code follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// What was asked for is wrong in itself.
    Usage,
    /// It names something that does not exist.
    NotFound,
    /// It collides with what is there.
    Conflict,
    /// It was right and could not be done.
    Failed,
}

/// Why a request was refused or failed. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What was being done, to what, and what stopped it.
    pub message: String,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    /// What kind of failure it was.
    pub kind: FailureKind,
}

impl Failure {
    /// A request that was right and could not be done.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, kind: FailureKind::Failed }
    }

    /// A request that is wrong in itself.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, kind: FailureKind::Usage }
    }

    /// The same, with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
