//! The store, read by a command because no agent does.

use super::client;
use crate::cli::Global;
use crate::render;
use crate::store::Store;
use anyhow::Result;

/// The store while no agent answers; `None` if one does, or if there is nothing to read here.
///
/// # Errors
/// The socket is there, but may not be used by this user.
pub(super) async fn store(global: &Global) -> Result<Option<Store>> {
    if client(global).is_agent_there().await? {
        return Ok(None);
    }
    let store = Store::at(&global.state_dir);
    if !store.path().exists() && store.last_good().is_none() {
        return Ok(None);
    }
    render::note(&format!("no agent runs; this is read from {}", global.state_dir.display()));
    Ok(Some(store))
}
