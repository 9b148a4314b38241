//! Changes of the configuration, as they are asked for.

use crate::config::limits::Limits;
use crate::config::model::{
    Announce, Config, Interface, Method, OnFailure, Ports, Scheduler, Server, Service, Track, Udp,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

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
    /// Sets what is given of the limits; the others stay as they are.
    LimitsSet(Limits),
    /// Replaces the whole configuration.
    Apply {
        /// The new configuration.
        config: Config,
        /// Whether it may have no services.
        allow_empty: bool,
    },
    /// Makes the configuration that of an earlier revision again.
    Rollback {
        /// Its number; `None` is the one before the present one.
        number: Option<u64>,
    },
}

impl Change {
    /// The word for it on the wire.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Attach(_) => "attach",
            Self::Detach { .. } => "detach",
            Self::ServiceAdd(_) => "service-add",
            Self::ServiceSet { .. } => "service-set",
            Self::ServiceRemove { .. } => "service-remove",
            Self::ServerAdd { .. } => "server-add",
            Self::ServerSet { .. } => "server-set",
            Self::ServerRemove { .. } => "server-remove",
            Self::ServerDrain { .. } => "server-drain",
            Self::ServerUndrain { .. } => "server-undrain",
            Self::PoolAdd { .. } => "pool-add",
            Self::PoolSet { .. } => "pool-set",
            Self::PoolRemove { .. } => "pool-remove",
            Self::VipSet { .. } => "vip-set",
            Self::LimitsSet(_) => "limits-set",
            Self::Apply { .. } => "apply",
            Self::Rollback { .. } => "rollback",
        }
    }
}

/// A change with what goes with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRequest {
    /// How. First, because what is left of the object is then the change alone, which knows all its keys.
    #[serde(flatten)]
    pub terms: Terms,
    /// What is asked for.
    #[serde(flatten)]
    pub change: Change,
}

/// How a change is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// What was typed, for the history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Why, for the history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Only say what would change, and what it would cut.
    pub dry_run: bool,
    /// Do it even if it cuts connections or removes a service.
    pub confirmed: bool,
    /// Servers that leave a service are not drained but cut.
    pub now: bool,
    /// The revision that the change was meant for; another one refuses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<u64>,
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
    /// Whether its flows are in the table of connections.
    pub track: Option<Track>,
    /// What its UDP flows do when their slot changes.
    pub udp: Option<Udp>,
}

/// What changes of a server; `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSettings {
    /// Weight.
    pub weight: Option<u16>,
    /// Forwarding method.
    pub method: Option<Method>,
    /// Whether the weight is an order beside the configuration, which `undrain` ends.
    pub temporary: bool,
}
