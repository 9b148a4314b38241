//! `lb-ctl history`.

use super::{client, unattended};
use crate::api::Failure;
use crate::cli::Global;
use crate::render;
use anyhow::Result;

/// Shows the revisions that are kept, newest first. Works without an agent.
///
/// # Errors
/// Neither the agent nor the store can be read.
pub async fn run(global: &Global) -> Result<()> {
    let history = match unattended::store(global).await? {
        // With a broken store, whoever looks for the way back sees all of them.
        Some(store) => {
            let current = store.read().ok().flatten().map_or(u64::MAX, |stored| stored.revision.number);
            store.history(current).map_err(Failure::from)?
        }
        None => client(global).history().await?,
    };
    render::show(global.json, &history, |history| render::history::all(history))
}
