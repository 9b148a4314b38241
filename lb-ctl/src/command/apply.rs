//! `lb-ctl apply`.

use super::consent::Consent;
use super::file;
use crate::api::Change;
use crate::cli::Global;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

/// Which file.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Configuration file (TOML); - is the standard input
    file: PathBuf,
    /// Accept a file without services: all that are there are removed
    #[arg(long)]
    allow_empty: bool,
    /// Cut the connections of servers that leave, instead of draining these
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    consent: Consent,
}

/// Replaces the configuration by that of a file.
///
/// # Errors
/// The file is no configuration, or the agent refuses or cannot be reached.
pub async fn run(global: &Global, arguments: Arguments) -> Result<()> {
    let Arguments { file, allow_empty, now, consent } = arguments;
    let change = Change::Apply { config: file::read(&file)?, allow_empty };
    consent.change_at(global, change, now).await
}
