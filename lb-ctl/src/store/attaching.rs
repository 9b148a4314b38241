//! The note of what is being attached for a change that is not stored yet: a crash on the way must not leave it attached.

use super::{Store, StoreError, file};
use std::collections::BTreeSet;
use std::path::PathBuf;

const FILE: &str = "attaching";

/// The note, which is taken away when this is dropped: the change is stored, or was taken back.
#[derive(Debug)]
pub struct Attaching(Option<PathBuf>);

impl Attaching {
    /// Leaves the note: the next agent sees to it.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Attaching {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        if let Err(error) = file::remove(path) {
            tracing::warn!(%error, "a note of the store stays");
        }
    }
}

impl Store {
    /// Notes that these interfaces are attached next; no note if there are none.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn note_attaching(&self, names: &BTreeSet<String>) -> Result<Attaching, StoreError> {
        if names.is_empty() {
            return Ok(Attaching(None));
        }
        let path = self.directory.join(FILE);
        let text = names.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
        file::replace(&path, text.as_bytes())?;
        Ok(Attaching(Some(path)))
    }

    /// What was being attached when the last agent died, and the note that goes once that is seen to.
    ///
    /// # Errors
    /// The note cannot be read.
    pub fn unfinished_attaching(&self) -> Result<(BTreeSet<String>, Attaching), StoreError> {
        let path = self.directory.join(FILE);
        let Some(text) = file::read(&path)? else { return Ok((BTreeSet::new(), Attaching(None))) };
        Ok((text.lines().map(str::to_owned).collect(), Attaching(Some(path))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_there_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let names = BTreeSet::from(["eth0".to_owned(), "eth1".to_owned()]);
        let note = store.note_attaching(&names).unwrap();
        std::mem::forget(note);
        let (found, note) = store.unfinished_attaching().unwrap();
        assert_eq!(found, names);
        drop(note);
        assert!(store.unfinished_attaching().unwrap().0.is_empty());
        drop(store.note_attaching(&BTreeSet::new()).unwrap());
        assert!(!directory.path().join(FILE).exists());
    }
}
