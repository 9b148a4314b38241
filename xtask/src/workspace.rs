//! Where things are in this workspace.

use std::path::{Path, PathBuf};

/// The directory of the workspace.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// `path` below [`root`].
pub(crate) fn at(path: &str) -> PathBuf {
    root().join(path)
}
