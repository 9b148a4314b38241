//! `lb-ctl list`.

use super::client;
use crate::api::client::Client;
use crate::cli::Global;
use crate::render;
use anyhow::Result;

/// Shows every service with its servers.
///
/// # Errors
/// The agent cannot be reached.
pub async fn run(global: &Global) -> Result<()> {
    let client = client(global);
    let services = client.services().await?;
    let warning = unattached(global, &client).await?;
    render::show(global.json, &services, |services| render::list::all(services) + &warning)
}

/// For people, that nothing is forwarded yet; programs find it in `status`.
pub(super) async fn unattached(global: &Global, client: &Client) -> Result<String> {
    if global.json {
        return Ok(String::new());
    }
    Ok(render::status::unattached(&client.status().await?))
}
