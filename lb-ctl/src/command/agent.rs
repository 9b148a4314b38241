//! `lb-ctl agent`.

use super::preflight;
use crate::agent;
use crate::cli::Global;
use anyhow::{Context, Result, anyhow};
use clap::Args;
use nix::unistd::setsid;
use std::env;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Set for an agent that leaves the session of the command that started it.
pub(super) const DETACHED: &str = "LB_DETACHED";

/// How the agent runs.
#[derive(Clone, Debug, Default, Args)]
pub struct Arguments {
    /// Configuration file (TOML), imported once, when nothing is stored yet
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
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
pub fn run(global: &Global, Arguments { config, tuning }: Arguments) -> Result<()> {
    if env::var_os(DETACHED).is_some() {
        setsid().context("cannot leave the session")?;
    }
    log_to_stderr(tuning.debug_log)?;
    preflight::check_agent(&global.state_dir)?;
    agent::run(options(global, &tuning, config))
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
    }
}

/// Sends what the agent logs to the standard error; `LB_LOG` chooses what.
///
/// `info` if it is not set, and what the program logs about packets if that was asked for.
pub(super) fn log_to_stderr(debug_log: bool) -> Result<()> {
    let usual = if debug_log { "info,director=debug" } else { "info" };
    let filter = env::var("LB_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = filter.as_deref().unwrap_or(usual);
    let targets: Targets = filter.parse().with_context(|| format!("cannot use LB_LOG={filter}"))?;
    let lines =
        tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let started = tracing_subscriber::registry().with(lines).with(targets).try_init();
    started.map_err(|error| anyhow!("cannot start the log: {error}"))
}
