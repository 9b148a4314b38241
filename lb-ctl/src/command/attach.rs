//! `lb-ctl attach`.

use super::agent::{Tuning, options};
use super::consent::Consent;
use super::unit::Unit;
use super::{client, log, preflight, start, wait};
use crate::agent::{self, privileges};
use crate::api::client::Client;
use crate::api::{Change, Failure};
use crate::cli::Global;
use crate::config::model::{Interface, Mode};
use crate::render;
use anyhow::{Context, Result};
use clap::Args;
use nix::sys::signal::{Signal, raise};
use std::fs;
use std::path::{Path, PathBuf};
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
        run_here(global, &tuning, interface)
    } else {
        wait(start_and_attach(global, &tuning, interface))
    }
}

async fn start_and_attach(global: &Global, tuning: &Tuning, interface: Interface) -> Result<()> {
    let client = client(global);
    if client.is_agent_there().await? {
        if tuning.is_given() {
            render::note(
                "the agent that runs keeps its own settings: --socket-group and --debug-log are for a new one",
            );
        }
        return attach(global, interface).await;
    }
    if let Some(unit) = Unit::of(global, tuning).await {
        return start_unit_and_attach(global, &unit, interface).await;
    }
    preflight::check(&interface.name, &global.bpffs)?;
    let name = interface.name.clone();
    let fresh = Fresh::before(&global.bpffs);
    let Some(mut started) = start::start(global, tuning, &client).await? else {
        return attach(global, interface).await;
    };
    let before = interfaces(&client).await;
    let attached = attach(global, interface).await;
    if attached.is_err() {
        if is_used(&client, before).await {
            return attached;
        }
        started.stop().await?;
        fresh.remove()?;
    } else if !global.json {
        render::text(&render::change::started(started.pid, &started.log, &name))?;
    }
    attached
}

async fn start_unit_and_attach(global: &Global, unit: &Unit, interface: Interface) -> Result<()> {
    preflight::check_interface(&interface.name)?;
    let (name, fresh) = (interface.name.clone(), Fresh::before(&global.bpffs));
    let client = client(global);
    unit.start(&client).await?;
    let before = interfaces(&client).await;
    let attached = attach(global, interface).await;
    if attached.is_err() {
        if !is_used(&client, before).await && unit.stop().await {
            fresh.remove()?;
        }
    } else if !global.json {
        render::text(&render::change::started_unit(unit.enabled, &name))?;
    }
    attached
}

/// Whether an agent that was started for an attach in vain serves all the same: the interfaces of its store, or one more
/// by another command.
async fn is_used(client: &Client, before: usize) -> bool {
    if before > 0 {
        render::note("the agent that was started goes on: it serves the interfaces of its store");
    }
    before > 0 || interfaces(client).await > before
}

/// How many interfaces the agent has.
async fn interfaces(client: &Client) -> usize {
    client.status().await.map_or(0, |status| status.interfaces.len())
}

/// What was not pinned before an agent was started, and goes with it when it was started in vain.
struct Fresh(Vec<PathBuf>);

impl Fresh {
    fn before(bpffs: &Path) -> Self {
        let places = ["maps", "links", "redirects"].map(|name| bpffs.join(name));
        let places = places.into_iter().chain([bpffs.to_owned()]);
        Self(places.filter(|place| !place.exists()).collect())
    }

    fn remove(self) -> Result<()> {
        for place in self.0.iter().filter(|place| place.exists()) {
            fs::remove_dir_all(place).with_context(|| format!("cannot remove {}", place.display()))?;
        }
        Ok(())
    }
}

async fn attach(global: &Global, interface: Interface) -> Result<()> {
    Consent::default().change(global, Change::Attach(interface)).await
}

fn run_here(global: &Global, tuning: &Tuning, interface: Interface) -> Result<()> {
    let client = client(global);
    if wait(async { Ok(client.is_agent_there().await?) })? {
        let message = format!("cannot start an agent: another one answers at {}", client.socket().display());
        return Err(Failure::failed(message).with_hint("leave out --foreground to use that one").into());
    }
    preflight::check(&interface.name, &global.bpffs)?;
    log::start(tuning.debug_log, None)?;
    let fresh = Fresh::before(&global.bpffs);
    let attaching = {
        let global = global.clone();
        thread::spawn(move || attach_to_own(&global, interface))
    };
    let ended = agent::run(options(global, tuning, None));
    match attaching.is_finished().then(|| attaching.join()) {
        Some(Ok(Err(error))) => {
            fresh.remove()?;
            Err(error)
        }
        Some(Err(_)) => Err(Failure::failed("attaching broke").into()),
        Some(Ok(Ok(()))) | None => ended,
    }
}

/// Attaches when the agent of this process answers; ends the agent if that fails.
fn attach_to_own(global: &Global, interface: Interface) -> Result<()> {
    privileges::give_up_others(privileges::AGENT)?;
    let attached = wait(async {
        let (client, mut poll) = (client(global), interval(Duration::from_millis(20)));
        while !(client.is_agent_there().await? && client.status().await.is_ok()) {
            poll.tick().await;
        }
        attach(global, interface).await
    });
    if attached.is_err() {
        raise(Signal::SIGTERM).context("cannot end the agent")?;
    }
    attached
}
