//! The store, read by a command because no agent does.

use super::client;
use crate::cli::Global;
use crate::render;
use crate::store::Store;
use anyhow::Result;

/// The store while no agent answers; `None` if one does, or if nothing was ever stored here.
///
/// # Errors
/// The socket is there, but may not be used by this user.
pub(super) async fn store(global: &Global) -> Result<Option<Store>> {
    if client(global).is_agent_there().await? {
        return Ok(None);
    }
    let store = Store::at(&global.state_dir);
    if matches!(store.read(), Ok(None)) {
        return Ok(None);
    }
    let (socket, directory) = (global.socket.display(), global.state_dir.display());
    render::note(&format!("no agent answers at {socket}; this is read from {directory}"));
    Ok(Some(store))
}
