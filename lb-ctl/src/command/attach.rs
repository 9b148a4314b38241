//! `lb-ctl attach`.

use super::agent::{Tuning, log_to_stderr, options};
use super::{client, preflight, start, wait};
use crate::agent;
use crate::api::{Change, Failure};
use crate::cli::Global;
use crate::config::model::{Interface, Mode};
use crate::render;
use anyhow::{Context, Result};
use clap::Args;
use nix::sys::signal::{Signal, raise};
use std::thread;
use std::time::Duration;
use tokio::time::interval;

/// Where and how.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the interface
    #[arg(value_name = "INTERFACE")]
    name: String,
    /// auto: native where the driver can, else generic
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Run the agent in this process instead of starting one
    #[arg(long)]
    foreground: bool,
    #[command(flatten)]
    tuning: Tuning,
}

/// Attaches to an interface; starts an agent if none answers.
///
/// # Errors
/// It cannot be attached. An agent that was started for it is stopped again.
pub fn run(global: &Global, Arguments { name, mode, foreground, tuning }: Arguments) -> Result<()> {
    let interface = Interface { name, mode };
    if foreground {
        run_here(global, tuning, interface)
    } else {
        wait(start_and_attach(global, &tuning, interface))
    }
}

async fn start_and_attach(global: &Global, tuning: &Tuning, interface: Interface) -> Result<()> {
    let client = client(global);
    if client.is_agent_there().await? {
        return attach(global, interface).await;
    }
    preflight::check(&interface.name, &global.bpffs)?;
    let mut started = start::start(global, tuning, &client).await?;
    let attached = attach(global, interface).await;
    if attached.is_err() {
        started.stop().await?;
    } else if !global.json {
        render::text(&render::change::started(started.pid, &started.log))?;
    }
    attached
}

async fn attach(global: &Global, interface: Interface) -> Result<()> {
    super::change(global, Change::Attach(interface)).await
}

fn run_here(global: &Global, tuning: Tuning, interface: Interface) -> Result<()> {
    let client = client(global);
    if wait(async { Ok(client.is_agent_there().await?) })? {
        let message = format!("cannot start an agent: another one answers at {}", client.socket().display());
        return Err(Failure::failed(message).with_hint("leave out --foreground to use that one").into());
    }
    preflight::check(&interface.name, &global.bpffs)?;
    log_to_stderr()?;
    let attaching = {
        let global = global.clone();
        thread::spawn(move || attach_to_own(&global, interface))
    };
    let ended = agent::run(options(global, tuning, None));
    match attaching.is_finished().then(|| attaching.join()) {
        Some(Ok(Err(error))) => Err(error),
        Some(Err(_)) => Err(Failure::failed("attaching broke").into()),
        Some(Ok(Ok(()))) | None => ended,
    }
}

/// Attaches when the agent of this process answers; ends the agent if that fails.
fn attach_to_own(global: &Global, interface: Interface) -> Result<()> {
    let attached = wait(async {
        let (client, mut poll) = (client(global), interval(Duration::from_millis(20)));
        while !client.is_agent_there().await? {
            poll.tick().await;
        }
        attach(global, interface).await
    });
    if attached.is_err() {
        raise(Signal::SIGTERM).context("cannot end the agent")?;
    }
    attached
}
