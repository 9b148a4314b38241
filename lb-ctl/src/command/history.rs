//! `lb-ctl history`.

use super::client;
use crate::cli::Global;
use crate::render;
use anyhow::Result;

/// Shows the revisions that are kept, newest first.
///
/// # Errors
/// The agent cannot be reached.
pub async fn run(global: &Global) -> Result<()> {
    let history = client(global).history().await?;
    render::show(global.json, &history, |history| render::history::all(history))
}
