//! `lb-ctl rollback`.

use super::consent::Consent;
use crate::api::Change;
use crate::cli::Global;
use anyhow::Result;
use clap::Args;

/// Which revision.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Number of the revision [default: the one before the present one]
    #[arg(value_name = "REVISION")]
    number: Option<u64>,
    /// Cut the connections of servers that leave, instead of draining these
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    consent: Consent,
}

/// Makes the configuration that of an earlier revision again, as a new revision.
///
/// # Errors
/// There is no such revision, or the agent refuses or cannot be reached.
pub async fn run(global: &Global, Arguments { number, now, consent }: Arguments) -> Result<()> {
    consent.change_at(global, Change::Rollback { number }, now).await
}
