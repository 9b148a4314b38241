//! `lb-ctl upgrade`: this version's program in the place of the one that is attached, without an agent.

use crate::api::{Failure, UpgradeOutcome};
use crate::cli::Global;
use crate::datapath::{DatapathError, Upgraded, upgrade};
use crate::pid_file::{self, AGENT};
use crate::render;
use anyhow::Result;
use clap::Args;

/// Whether tables are migrated.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Copy tables of an older schema into ones of this version's, while traffic flows; counters begin at zero
    #[arg(long)]
    migrate: bool,
}

/// Replaces the program on every interface.
///
/// # Errors
/// An agent runs, nothing is pinned, or what is pinned is of a schema that is not known, or not asked for.
pub fn run(global: &Global, Arguments { migrate }: Arguments) -> Result<()> {
    pid_file::refuse_beside(&AGENT, &global.state_dir)?;
    let is_there = global.state_dir.exists();
    let _lock = is_there.then(|| pid_file::take(&AGENT, &global.state_dir, false)).transpose()?;
    let upgraded = upgrade(&global.bpffs, migrate).map_err(|error| failure(&error))?;
    render::show(global.json, &outcome(upgraded), render::change::upgraded)
}

fn failure(error: &DatapathError) -> Failure {
    let failure = Failure::failed(error.to_string());
    error.hint().map_or(failure.clone(), |hint| failure.with_hint(hint))
}

fn outcome(upgraded: Upgraded) -> UpgradeOutcome {
    match upgraded {
        Upgraded::Current => UpgradeOutcome::Current,
        Upgraded::Replaced(interfaces) => UpgradeOutcome::Replaced { interfaces },
        Upgraded::Migrated { from, interfaces, rebuilt } => UpgradeOutcome::Migrated {
            from,
            to: lb_common::maps::SCHEMA_VERSION,
            interfaces,
            hold_us: u64::try_from(rebuilt.hold.as_micros()).unwrap_or(u64::MAX),
        },
    }
}
