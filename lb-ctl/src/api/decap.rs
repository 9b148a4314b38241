//! What the decapsulation program of a server does. It has no agent: only `--json` writes this.

use super::{AttachedMode, ReasonCount, Warning};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The decapsulation program of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecapStatus {
    /// Interfaces that it is attached to, or is to be attached to after a reboot.
    pub interfaces: Vec<DecapInterface>,
    /// The process that keeps persistent interfaces attached, when one runs.
    pub supervisor: Option<u32>,
    /// VIPs whose packets it takes out of their tunnels.
    pub vips: Vec<IpAddr>,
    /// Addresses of this host that a tunnel may end at.
    pub addresses: Vec<IpAddr>,
    /// Per reason, those that are not zero.
    pub reasons: Vec<ReasonCount>,
    /// What needs a look.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

/// An interface of the decapsulation program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecapInterface {
    /// Its name.
    pub name: String,
    /// Its index, when the program is attached to it.
    pub ifindex: Option<u32>,
    /// How the program is attached, when it is.
    pub attached: Option<AttachedMode>,
    /// Whether it is attached again after a reboot, and when it was made anew.
    pub persistent: bool,
}
