//! `lb-ctl detach`.

use super::change;
use crate::api::Change;
use crate::cli::Global;
use anyhow::Result;
use clap::Args;

/// Which interface.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the interface
    #[arg(value_name = "INTERFACE")]
    name: String,
}

/// Takes the program off an interface.
///
/// # Errors
/// The agent refuses or cannot be reached.
pub async fn run(global: &Global, Arguments { name }: Arguments) -> Result<()> {
    change(global, Change::Detach { name }).await
}
