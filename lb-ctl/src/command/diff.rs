//! `lb-ctl diff`.

use super::{client, file};
use crate::cli::Global;
use crate::render;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

/// Which file.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Configuration file (TOML) to compare with; without one, the kernel is compared with the stored configuration
    file: Option<PathBuf>,
}

/// Shows what `apply` would change.
///
/// # Errors
/// The file is no configuration, or the agent cannot be reached.
pub async fn run(global: &Global, Arguments { file }: Arguments) -> Result<()> {
    let config = file.map(|path| file::read(&path)).transpose()?;
    let differences = client(global).diff(config.as_ref()).await?;
    render::show(global.json, &differences, |differences| render::change::differences(differences))
}
