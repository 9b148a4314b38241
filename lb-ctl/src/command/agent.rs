//! `lb-ctl agent`.

use super::{detached, log};
use crate::agent::{self, privileges};
use crate::cli::Global;
use anyhow::Result;
use clap::Args;
use std::env;
use std::path::PathBuf;

/// How the agent runs.
#[derive(Clone, Debug, Default, Args)]
pub struct Arguments {
    /// Configuration file (TOML), imported once, when nothing is stored yet
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How lines of the log are written
    #[arg(help = "How lines of the log are written [env: LB_LOG_FORMAT] [default: text]")]
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<log::Format>,
    #[command(flatten)]
    tuning: Tuning,
}

/// What `attach` can pass on to the agent that it starts.
#[derive(Clone, Debug, Default, Args)]
pub struct Tuning {
    /// Group that may use the socket
    #[arg(long, value_name = "GROUP")]
    #[arg(help = "Group that may use the socket [env: LB_SOCKET_GROUP] [default: the agent's own]")]
    socket_group: Option<String>,
    /// Log a line for each TCP or UDP packet; slow, for a test machine
    #[arg(long)]
    pub debug_log: bool,
}

impl Tuning {
    #[cfg(test)]
    pub(super) fn with_debug_log() -> Self {
        Self { debug_log: true, ..Self::default() }
    }

    /// Whether something was typed.
    pub(super) const fn is_given(&self) -> bool {
        self.socket_group.is_some() || self.debug_log
    }

    /// The group that was typed, or that of the environment.
    pub(super) fn socket_group(&self) -> Option<String> {
        let typed = self.socket_group.clone();
        typed.or_else(|| env::var("LB_SOCKET_GROUP").ok().filter(|group| !group.is_empty()))
    }
}

/// Runs the agent until it is told to stop.
///
/// # Errors
/// It cannot start, or breaks.
pub fn run(global: &Global, Arguments { config, log_format, tuning }: Arguments) -> Result<()> {
    let detached = detached::leave_session()?;
    log::start(tuning.debug_log, log_format)?;
    privileges::check(privileges::AGENT, "cannot run the agent")?;
    agent::run(agent::Options { detached, ..options(global, &tuning, config) })
}

/// The agent's options as they were typed.
pub(super) fn options(global: &Global, tuning: &Tuning, config: Option<PathBuf>) -> agent::Options {
    agent::Options {
        bpffs: global.bpffs.clone(),
        state_dir: global.state_dir.clone(),
        socket: global.socket.clone(),
        socket_group: tuning.socket_group(),
        config,
        debug_log: tuning.debug_log,
        detached: false,
    }
}
