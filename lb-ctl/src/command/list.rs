//! `lb-ctl list`.

use super::client;
use crate::cli::Global;
use crate::render;
use anyhow::Result;

/// Shows every service with its servers.
///
/// # Errors
/// The agent cannot be reached.
pub async fn run(global: &Global) -> Result<()> {
    let services = client(global).services().await?;
    render::show(global.json, &services, |services| render::list::all(services))
}
