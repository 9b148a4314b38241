//! The one wire format: what the CLI asks of the agent and what it answers, as JSON over HTTP on a UNIX socket.
//!
//! Field names are stable: `--json` prints these structures as they are.

mod change;
pub mod client;
mod decap;
mod event;
pub mod events;
mod failure;
mod listing;
mod peer;
pub mod server;
pub mod socket;
mod status;
#[cfg(test)]
mod tests;
mod traffic;
mod unreachable;
mod upgrade;

pub use change::{Change, ChangeRequest, ServerSettings, ServiceSettings, Terms};
pub use decap::{DecapInterface, DecapStatus};
pub use event::{Event, EventKind, EventRequest, Level, Origin};
pub use failure::{Failure, FailureKind};
pub use listing::{PoolInfo, ServerInfo, ServerSituation, ServiceInfo, Tracking, VipInfo};
pub(crate) use peer::user;
pub use status::{
    AgentInfo, AttachedMode, Changed, Cut, Drift, InterfaceState, InterfaceStatus, SlotProgress, Status,
    TableUse, Warning,
};
pub use traffic::{
    ConnectionFilter, ConnectionInfo, Connections, ReasonCount, Sample, SampleRequest, ServerTraffic,
    ServiceTraffic, Stats, UnsentCount, verdict_word,
};
pub use upgrade::UpgradeOutcome;

use crate::config::diff::Difference;
use crate::config::intent::Actor;
use crate::config::model::Config;
use crate::store::Revision;
use serde::Serialize;

/// What can be asked of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Changes the configuration; answered with [`Reply::Changed`] when forwarding follows it.
    Change(Box<ChangeRequest>, Actor),
    /// The revisions that are kept.
    History,
    /// The configuration of a revision.
    Revision(u64),
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
    /// To [`Request::Config`] and [`Request::Revision`].
    Config(Config),
    /// To [`Request::History`].
    History(Vec<Revision>),
    /// To [`Request::Diff`].
    Diff(Vec<Difference>),
    /// To [`Request::Samples`].
    Samples(Vec<Sample>),
}
