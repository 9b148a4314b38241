//! A change of the store in two steps: written beside its place, where that may fail, and then put there by renames, for
//! which a full disk has room.

use super::{Store, StoreError, Stored, file, format};
use std::fs;
use std::path::PathBuf;

/// What is written and not in force. It goes when this is dropped.
#[derive(Debug)]
pub struct Prepared {
    stored: Stored,
    /// What becomes the store.
    new: PathBuf,
    /// What becomes the copy of a new revision.
    next: Option<PathBuf>,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // What is in its place by now is not here any more.
        for path in self.next.iter().chain([&self.new]) {
            fs::remove_file(path).ok();
        }
    }
}

impl Store {
    /// Writes `stored` beside what is in force, as a new revision or with the configuration of the present one.
    ///
    /// # Errors
    /// It cannot be written; nothing of it is left.
    pub fn prepare(&self, stored: &Stored, is_revision: bool) -> Result<Prepared, StoreError> {
        let path = self.path();
        let next = if is_revision { Some(self.write_next(stored)?) } else { None };
        let mut prepared = Prepared { stored: stored.clone(), new: PathBuf::new(), next };
        prepared.new = file::write_beside(&path, &format::encode(stored, &path)?)?;
        Ok(prepared)
    }

    /// Puts what was prepared in force; it is on the disk when this returns. Old revisions give way.
    ///
    /// # Errors
    /// It cannot be renamed; what was there is unharmed.
    pub fn put_in_force(&self, prepared: Prepared) -> Result<(), StoreError> {
        file::rename(&prepared.new, &self.path())?;
        let Some(next) = &prepared.next else {
            self.copy(&prepared.stored);
            return Ok(());
        };
        if let Err(error) = file::rename(next, &self.path_of(prepared.stored.revision.number)) {
            tracing::error!(%error, "stored, but not in the history before the agent starts again");
            // The next agent finds it there.
            std::mem::forget(prepared);
        }
        self.prune();
        Ok(())
    }

    fn write_next(&self, stored: &Stored) -> Result<PathBuf, StoreError> {
        let next = self.path_of_next();
        file::replace(&next, &format::encode(stored, &next)?)?;
        Ok(next)
    }
}
