//! What the agent logs, on its standard error.

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use std::env;
use std::io::{self, IsTerminal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// An object a line
    Json,
}

/// Starts the log. `LB_LOG` chooses what is logged and `LB_LOG_FORMAT` how, unless `format` does.
///
/// `info` if it is not set, and what the program logs about packets if that was asked for. Under systemd, which notes
/// the time itself, lines of text have none.
///
/// # Errors
/// The environment holds what cannot be used.
pub(super) fn start(debug_log: bool, format: Option<Format>) -> Result<()> {
    let usual = if debug_log { "info,director=debug" } else { "info" };
    let filter = variable("LB_LOG");
    let filter = filter.as_deref().unwrap_or(usual);
    let targets: Targets = filter.parse().with_context(|| format!("cannot use LB_LOG={filter}"))?;
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let lines = match format.map_or_else(usual_format, Ok)? {
        Format::Json => lines.json().flatten_event(true).boxed(),
        Format::Text if env::var_os("JOURNAL_STREAM").is_some() => lines.without_time().boxed(),
        Format::Text => lines.boxed(),
    };
    let started = tracing_subscriber::registry().with(lines).with(targets).try_init();
    started.map_err(|error| anyhow!("cannot start the log: {error}"))
}

fn usual_format() -> Result<Format> {
    let Some(word) = variable("LB_LOG_FORMAT") else { return Ok(Format::Text) };
    Format::from_str(&word, false).map_err(|_| anyhow!("cannot use LB_LOG_FORMAT={word}: text or json"))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
