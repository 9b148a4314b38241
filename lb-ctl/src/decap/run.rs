//! The process that keeps the decapsulation program where it was recorded, whatever becomes of interfaces and addresses.
//!
//! It wakes when the network changes, and once in a while. When it ends, the program stays.

use super::store::{Recorded, Store};
use super::turn::{self, Turn};
use crate::api::Failure;
use crate::datapath::decap::{self, Kept};
use crate::neighbour::Network;
use crate::pid_file::{self, DECAP};
use anyhow::Context;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Time between two looks, should a notice have been lost or a command have died half-way.
const TICK: Duration = Duration::from_secs(5);
/// Changes of the network that come within this time are looked at together.
const GATHER: Duration = Duration::from_millis(100);

/// How it is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory on the BPF file system for pins.
    pub bpffs: PathBuf,
    /// Directory of the record.
    pub state_dir: PathBuf,
    /// Whether `decap attach` left it behind: then it ends by itself when nothing is recorded any more.
    pub detached: bool,
}

/// Keeps it so until it is told to stop by SIGTERM or SIGINT. Decapsulation goes on after that.
///
/// # Errors
///
/// It cannot start: another one runs, or the record cannot be used.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let store = Store::at(&options.state_dir);
    store.create()?;
    let recorded = store.load()?;
    let lock = pid_file::take(&DECAP, &options.state_dir, options.detached)?;
    let (_network, mut changes) = Network::open()?;
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tracing::info!(
        pid = std::process::id(),
        interfaces = recorded.interfaces.len(),
        "the decapsulation program is supervised"
    );
    let mut keeper = Keeper { options, store, recorded, started: false, told: BTreeSet::new() };
    loop {
        tokio::select! {
            Ok(()) = changes.changed() => sleep(GATHER).await,
            _ = tick.tick() => {}
            _ = terminated.recv() => break,
            _ = interrupted.recv() => break,
        }
        changes.mark_unchanged();
        let turn = keeper.look().await;
        if keeper.is_idle() {
            // Whoever has the next turn finds that nothing runs.
            drop(lock);
            drop(turn);
            tracing::info!("nothing is recorded any more");
            return Ok(());
        }
    }
    tracing::info!("the supervision stops; decapsulation goes on");
    Ok(())
}

struct Keeper {
    options: Options,
    store: Store,
    /// What was recorded when the record could last be used.
    recorded: Recorded,
    /// Whether this version's program has taken the place of what was attached before.
    started: bool,
    /// What is wrong and was logged.
    told: BTreeSet<String>,
}

impl Keeper {
    /// Reads the record and makes the kernel follow it, in a turn of its own, which is given back.
    async fn look(&mut self) -> Option<Turn> {
        let mut problems = BTreeSet::new();
        let turn = match turn::take(&self.options.state_dir).await {
            Ok(turn) => turn,
            Err(failure) => {
                self.tell([failure.to_string()].into());
                return None;
            }
        };
        match self.store.load() {
            Ok(recorded) => self.recorded = recorded,
            Err(failure) => drop(problems.insert(said(&failure))),
        }
        let Recorded { interfaces, vips } = &self.recorded;
        match decap::keep(&self.options.bpffs, interfaces, vips, !self.started) {
            Ok(kept) => {
                self.started = true;
                problems.extend(log(&kept));
            }
            Err(error) => drop(problems.insert(error.to_string())),
        }
        self.tell(problems);
        turn
    }

    fn is_idle(&self) -> bool {
        self.options.detached && self.recorded.interfaces.is_empty() && self.told.is_empty()
    }

    /// Logs what was not wrong before.
    fn tell(&mut self, problems: BTreeSet<String>) {
        for problem in problems.difference(&self.told) {
            tracing::error!(problem, "the decapsulation program is not as it was recorded");
        }
        self.told = problems;
    }
}

/// Logs what was done; gives what could not be.
fn log(kept: &Kept) -> Vec<String> {
    for (interface, attached) in &kept.attached {
        tracing::info!(interface, mode = %attached.mode, "attached");
    }
    for interface in &kept.removed {
        tracing::info!(interface, "removed the link of an interface that is gone");
    }
    kept.failed.iter().map(ToString::to_string).collect()
}

fn said(failure: &Failure) -> String {
    match &failure.hint {
        Some(hint) => format!("{failure}; {hint}"),
        None => failure.to_string(),
    }
}
