//! Answers that describe: the agent, its interfaces and tables, and what a change came to.

use crate::config::diff::Difference;
use crate::config::intent::{Order, ServerName};
use crate::config::model::Mode;
use crate::datapath::AttachMode;
use crate::store::Revision;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a change came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// What differs from before; empty when it was so already.
    pub differences: Vec<Difference>,
    /// Sentences for the operator: which services a pool's change touches, what was found on the way.
    #[serde(default)]
    pub notes: Vec<String>,
    /// After an attach, how the interface is attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<InterfaceStatus>,
    /// Live connections that it cuts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<Cut>,
    /// The revision in force: the new one, or that which a plan was made for.
    #[serde(default)]
    pub revision: u64,
}

/// Live connections that a change cuts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Name of their service.
    pub service: String,
    /// Name of their server, with that of its pool: `POOL/SERVER`.
    pub server: String,
    /// How many; `None` where they are not counted, because the service is not tracked.
    pub connections: Option<u64>,
}

/// How the agent and its interfaces are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The agent; `None` when nobody supervises the programs.
    pub agent: Option<AgentInfo>,
    /// The process id of an agent that is there and does not answer; what follows was then read without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_agent: Option<u32>,
    /// When an agent last said that it is there, in seconds since 1970 (UTC), when none supervises what is forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsupervised_since: Option<u64>,
    /// Interfaces, configured or attached.
    pub interfaces: Vec<InterfaceStatus>,
    /// The revision in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Orders of the operator that hold beside the configuration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub orders: BTreeMap<ServerName, Order>,
    /// Number of services.
    pub services: u64,
    /// Number of servers, each counted once per service that uses it.
    pub servers: u64,
    /// How many of those take new connections.
    pub servers_up: u64,
    /// Use and limit of each table.
    pub tables: Vec<TableUse>,
    /// How far the slots of untracked services are with the last change; `None` without an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<SlotProgress>,
    /// What somebody else changed in the kernel and the agent repaired; `None` without an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// What needs a look.
    pub warnings: Vec<Warning>,
}

/// How far the slots of untracked services are with the last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotProgress {
    /// Some are still to follow it: they do so in steps.
    Following,
    /// All follow it; flows that they had before are in the table of connections, or are looked out for.
    Settling,
    /// No flow is on another server than its slot's.
    Settled,
}

/// What somebody else changed in the kernel, and the agent repaired.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Repairs since the agent started.
    pub repairs: u64,
    /// When the last one was, in seconds since 1970 (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// What the last one changed back: the first ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

/// The agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// When it started, in seconds since 1970 (UTC).
    pub since: u64,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Its index, when it exists.
    pub ifindex: Option<u32>,
    /// The mode that was asked for.
    pub mode: Mode,
    /// How it is.
    pub state: InterfaceState,
    /// How it is attached, when it is.
    pub attached: Option<AttachedMode>,
}

/// How an attached interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterfaceState {
    /// The program sees its packets.
    Attached,
    /// It exists, but the program is not attached.
    Detached,
    /// There is no such interface.
    Missing,
}

/// How the kernel runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttachedMode {
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
}

impl From<AttachMode> for AttachedMode {
    fn from(mode: AttachMode) -> Self {
        match mode {
            AttachMode::Native => Self::Native,
            AttachMode::Generic => Self::Generic,
        }
    }
}

/// Use and limit of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableUse {
    /// What it holds: `connections`, `services`, `servers`, `slots`.
    pub table: String,
    /// Entries in use.
    pub used: u64,
    /// Entries possible.
    pub limit: u64,
}

/// Something that needs a look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What is wrong, and with what.
    pub message: String,
    /// What can be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
