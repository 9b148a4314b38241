//! `lb-ctl agent`.

use crate::agent;
use crate::cli::Global;
use anyhow::{Context, Result, anyhow};
use clap::Args;
use nix::unistd::setsid;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use tracing_subscriber::EnvFilter;

/// How the agent runs.
#[derive(Clone, Debug, Default, Args)]
pub struct Arguments {
    /// Configuration file (TOML), imported once, when nothing is stored yet
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    tuning: Tuning,
    /// Leave the session of the command that started it
    #[arg(long, hide = true)]
    detached: bool,
}

/// What `attach` can pass on to the agent that it starts.
#[derive(Clone, Debug, Default, Args)]
pub struct Tuning {
    /// Group that may use the socket [default: the agent's own]
    #[arg(long, value_name = "GROUP", env = "LB_SOCKET_GROUP", hide_env_values = true)]
    pub socket_group: Option<String>,
    /// Log each decision of the programs; for debugging, slow
    #[arg(long)]
    pub debug_log: bool,
}

/// Runs the agent until it is told to stop.
///
/// # Errors
/// It cannot start, or breaks.
pub fn run(global: &Global, Arguments { config, tuning, detached }: Arguments) -> Result<()> {
    if detached {
        setsid().context("cannot leave the session")?;
    }
    log_to_stderr()?;
    agent::run(options(global, tuning, config))
}

/// The agent's options as they were typed.
pub(super) fn options(global: &Global, tuning: Tuning, config: Option<PathBuf>) -> agent::Options {
    agent::Options {
        bpffs: global.bpffs.clone(),
        state_dir: global.state_dir.clone(),
        socket: global.socket.clone(),
        socket_group: tuning.socket_group,
        config,
        debug_log: tuning.debug_log,
    }
}

/// Sends what the agent logs to the standard error; `LB_LOG` chooses what, `info` if it is not set.
pub(super) fn log_to_stderr() -> Result<()> {
    let filter = EnvFilter::try_from_env("LB_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = subscriber.with_ansi(io::stderr().is_terminal()).try_init();
    started.map_err(|error| anyhow!("cannot start the log: {error}"))
}
