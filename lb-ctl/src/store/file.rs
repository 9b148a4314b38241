//! Files that are replaced as a whole: written beside their place, synced, renamed.

use super::StoreError;
use crate::fault;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The largest configuration that the limits of the tables allow is far below.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The text of the file at `path`; `None` if there is none.
///
/// # Errors
/// It cannot be read, or is nothing that this program writes: too large, or no text.
pub(crate) fn read(path: &Path) -> Result<Option<String>, StoreError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| failed("read", path, error))?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| failed("read", path, error))?;
    let broken = |message: String| StoreError::Broken { path: path.to_owned(), message, last_good: None };
    if bytes.len() as u64 > MAX_BYTES {
        return Err(broken(format!("it has more than {MAX_BYTES} bytes")));
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count() + 1;
        broken(format!("line {line} is not UTF-8"))
    })
}

/// Puts `bytes` in the place of what was at `path`, mode 0600; they are on the disk when this returns.
///
/// # Errors
/// They cannot be written; what was there is unharmed.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    rename(&write_beside(path, bytes)?, path)
}

/// Writes `bytes` beside `path`, mode 0600; they are on the disk when this returns. The file that has them.
///
/// # Errors
/// They cannot be written; nothing of them is left.
pub(super) fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf, StoreError> {
    let new = path.with_extension("json.new");
    fault::around("a new file of the store", || write_synced(&new, bytes)).map_err(|error| {
        // On a full disk the half of a file would take what room is left.
        fs::remove_file(&new).ok();
        failed("write", &new, error)
    })?;
    Ok(new)
}

/// Puts the file at `new` in the place of what was at `path`; both are in one directory.
pub(super) fn rename(new: &Path, path: &Path) -> Result<(), StoreError> {
    let rename = || fs::rename(new, path);
    fault::around("a file of the store", rename).map_err(|error| failed("replace", path, error))?;
    sync_directory(path);
    Ok(())
}

/// Removes the file at `path`, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fault::around("a removed file of the store", || fs::remove_file(path)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|error| failed("remove", path, error)),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The file is in its place already and every reader sees it: a failure means that a power cut may bring the old one back,
/// and not that nothing was stored.
fn sync_directory(path: &Path) {
    let directory = path.parent().unwrap_or(Path::new("."));
    let sync = || File::open(directory)?.sync_all();
    if let Err(error) = fault::around("the directory of the store", sync) {
        tracing::error!(%error, directory = %directory.display(), "stored, but a power cut may undo it");
    }
}

pub(super) fn failed(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { action, path: path.to_owned(), source }
}
