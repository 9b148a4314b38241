//! What happened, as the agent remembers it and `lb-ctl events` tells it.

use serde::{Deserialize, Serialize};

/// Something noteworthy that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number. It grows by one an event; an agent starts far above the last number of the agent before.
    pub sequence: u64,
    /// When, in milliseconds since 1970 (UTC).
    pub time_ms: u64,
    /// How urgent it is.
    pub level: Level,
    /// What it is about.
    pub kind: EventKind,
    /// What happened to it: the name of an interface, `POOL/SERVER`, a VIP, the name of a table. May be empty.
    #[serde(default)]
    pub subject: String,
    /// What happened.
    pub text: String,
    /// What differs, a line each: the first twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// What can be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Who asked for it, when somebody did.
    #[serde(flatten)]
    pub origin: Origin,
}

/// Who asked for something, and what it became. All is `None` where nobody asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// User id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Name of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The command as it was typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Revision of the configuration that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// How urgent an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Forwarding is not as it was asked for.
    Error,
    /// Needs a look.
    Warn,
    /// Something changed.
    Info,
}

impl Level {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
        }
    }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The agent started.
    Start,
    /// The agent ends.
    Stop,
    /// The configuration changed.
    Change,
    /// A server is in another state.
    Server,
    /// An interface was attached, lost, came back, or has another mode.
    Interface,
    /// A VIP was put on an interface or taken off.
    Vip,
    /// What somebody else changed in the kernel was repaired.
    Drift,
    /// A table is nearly full, or is not any more.
    Table,
    /// The kernel's tables are not what they should be, or are again.
    Problem,
    /// Events that are not remembered any more, so that this reader does not see them.
    Missed,
}

impl EventKind {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Change => "change",
            Self::Server => "server",
            Self::Interface => "interface",
            Self::Vip => "vip",
            Self::Drift => "drift",
            Self::Table => "table",
            Self::Problem => "problem",
            Self::Missed => "missed",
        }
    }
}

/// Which events are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventRequest {
    /// Those after the event with this number; 0 is all that are remembered.
    pub since: u64,
    /// Whether those to come are wanted as well, until the agent stops.
    pub follow: bool,
}
