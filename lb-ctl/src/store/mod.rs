//! The store: the configuration in force with what holds beside it, and every revision before it.
//!
//! `store.json` is the only truth; one rename replaces it. `revisions/` holds a copy of each revision with what held beside
//! it last, for `history`, `rollback` and a way back from a broken file. What a configuration means is not judged here beyond
//! [`crate::config::validate`].

mod attaching;
mod error;
pub(crate) mod file;
mod format;
mod prepared;
#[cfg(test)]
mod tests;

pub use attaching::Attaching;
pub use error::StoreError;
pub use prepared::Prepared;

use crate::config::intent::{Actor, Intent};
use crate::config::model::Config;
use file::failed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Version of the files' format. A newer one is refused.
pub const FORMAT: u32 = 2;
/// Revisions that are kept.
pub const KEPT_REVISIONS: usize = 100;
/// Bytes that old revisions may take together; the newest ones are kept all the same.
const KEPT_BYTES: u64 = 256 * 1024 * 1024;
/// Revisions that are kept however large they are.
const ALWAYS_KEPT: usize = 3;

const FILE: &str = "store.json";
const REVISIONS: &str = "revisions";

/// How a configuration came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Its number, from 1 on; 0 before the first change.
    pub number: u64,
    /// When it was made, in seconds since 1970 (UTC).
    pub time: u64,
    /// Who made it.
    #[serde(flatten)]
    pub by: Actor,
    /// What was typed, or asked of the API.
    pub command: String,
    /// The number of the revision that was in force before; an earlier version did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<u64>,
    /// Why, as they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The revision that the configuration is.
    #[serde(default)]
    pub revision: Revision,
    /// What the operator asked for.
    pub config: Config,
    /// What holds beside it.
    #[serde(default)]
    pub intent: Intent,
    /// VIPs that the agent put on an interface, with its name: they are taken off again, others never.
    #[serde(default)]
    pub placed: BTreeMap<IpAddr, String>,
}

/// The directory of the stored configuration.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// Opens the store in `directory`, which is made (mode 0750) if it does not exist.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        for path in [directory, &directory.join(REVISIONS)] {
            let made = DirBuilder::new().recursive(true).mode(0o750).create(path);
            made.map_err(|source| failed("make", path, source))?;
        }
        Ok(Self::at(directory))
    }

    /// The store in `directory`, to be read only: nothing is made.
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// What is stored, for the agent; `None` if nothing ever was. What a kill cut off is ended.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn load(&self) -> Result<Option<Stored>, StoreError> {
        let Some(stored) = self.read()? else { return Ok(None) };
        let number = stored.revision.number;
        self.settle(number)?;
        if self.revision(number).is_ok_and(|copy| copy != stored) {
            self.copy(&stored);
        }
        Ok(Some(self.with_later_vips(stored)))
    }

    /// Adds the VIPs that revisions after it put on interfaces, if it was put back by hand: they are this agent's still.
    fn with_later_vips(&self, mut stored: Stored) -> Stored {
        let newest = self.numbers().ok().and_then(|numbers| numbers.last().copied());
        let newest = newest.filter(|newest| *newest > stored.revision.number);
        if let Some(Ok(later)) = newest.map(|newest| self.revision(newest)) {
            for (vip, interface) in later.placed {
                stored.placed.entry(vip).or_insert(interface);
            }
        }
        stored
    }

    /// What is stored; `None` if nothing ever was.
    ///
    /// # Errors
    /// The file cannot be read, is broken, lost, or of a newer format; the error names the last good revision.
    pub fn read(&self) -> Result<Option<Stored>, StoreError> {
        let path = self.path();
        let text = file::read(&path).map_err(|error| self.with_way_back(error))?;
        let Some(text) = text else {
            let lost = |last_good| StoreError::Lost { path, last_good };
            return self.last_good().map_or(Ok(None), |last_good| Err(lost(last_good)));
        };
        format::decode(&text, &path).map(Some).map_err(|error| self.with_way_back(error))
    }

    /// Stores `stored`, whose configuration is that of the stored revision, in place of what was there. Its copy follows: a
    /// way back from a broken file loses neither orders nor VIPs.
    ///
    /// # Errors
    /// It cannot be written; what was there is unharmed.
    pub fn save(&self, stored: &Stored) -> Result<(), StoreError> {
        self.put_in_force(self.prepare(stored, false)?)
    }

    /// Brings the copy among the revisions up to date, if there is one.
    fn copy(&self, stored: &Stored) {
        let copy = self.path_of(stored.revision.number);
        let replace = || file::replace(&copy, &format::encode(stored, &copy)?);
        if copy.exists()
            && let Err(error) = replace()
        {
            tracing::warn!(%error, "stored, but the copy among the revisions is older");
        }
    }

    fn put(&self, stored: &Stored) -> Result<(), StoreError> {
        let path = self.path();
        file::replace(&path, &format::encode(stored, &path)?)
    }

    /// Stores `stored` as a new revision; it is on the disk when this returns. Old revisions give way.
    ///
    /// # Errors
    /// It cannot be written; what was there is unharmed.
    pub fn commit(&self, stored: &Stored) -> Result<(), StoreError> {
        self.put_in_force(self.prepare(stored, true)?)
    }

    /// Stores `before` again, and forgets the revision `number` that was to follow it. A kill on the way leaves one or the
    /// other, with its history.
    ///
    /// # Errors
    /// It cannot be written; the newer one is stored still.
    pub fn take_back(&self, before: &Stored, number: u64) -> Result<(), StoreError> {
        if number == before.revision.number {
            return self.save(before);
        }
        let (next, copy) = (self.path_of_next(), self.path_of(number));
        file::rename(&copy, &next)?;
        if let Err(error) = self.put(before) {
            file::rename(&next, &copy).ok();
            return Err(error);
        }
        if let Err(error) = file::remove(&next) {
            tracing::warn!(%error, "a revision that was taken back stays until the agent starts again");
        }
        Ok(())
    }

    /// The revisions that are kept up to `current`, newest first. One that cannot be read is left out and logged.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn history(&self, current: u64) -> Result<Vec<Revision>, StoreError> {
        // A kill may have left the one in force without its copy.
        let stored = self.read().ok().flatten().map(|stored| stored.revision);
        let mut history: Vec<_> =
            stored.filter(|it| it.number == current && !self.path_of(current).exists()).into_iter().collect();
        for number in self.numbers()?.into_iter().rev().filter(|number| *number <= current) {
            let path = self.path_of(number);
            match file::read(&path).and_then(|text| format::describe(&text.unwrap_or_default(), &path)) {
                Ok(revision) => history.push(revision),
                Err(error) => tracing::warn!(%error, number, "a revision cannot be read"),
            }
        }
        Ok(history)
    }

    /// The revision `number`: its configuration as it was made, and what held beside it last.
    ///
    /// # Errors
    /// It is not kept, broken, or of a newer format.
    pub fn revision(&self, number: u64) -> Result<Stored, StoreError> {
        let path = self.path_of(number);
        let Some(text) = file::read(&path)? else {
            if let Some(stored) = self.read().ok().flatten().filter(|stored| stored.revision.number == number)
            {
                return Ok(stored);
            }
            let numbers = self.numbers()?;
            let kept = numbers.first().copied().zip(numbers.last().copied());
            return Err(StoreError::NoRevision { number, kept });
        };
        format::decode(&text, &path)
            .map_err(|source| StoreError::Revision { number, source: Box::new(source) })
    }

    /// The number of the revision after `current`: above all that are kept, so that none is ever another one's.
    pub fn next_number(&self, current: u64) -> u64 {
        let newest = self.numbers().ok().and_then(|numbers| numbers.last().copied());
        newest.unwrap_or_default().max(current).saturating_add(1)
    }

    /// Ends what a kill cut off: the copy of a revision is one of the history once `store.json` has it, and none before.
    fn settle(&self, number: u64) -> Result<(), StoreError> {
        let next = self.path_of_next();
        let Some(text) = file::read(&next)? else { return Ok(()) };
        match format::describe(&text, &next) {
            Ok(revision) if revision.number == number => file::rename(&next, &self.path_of(number)),
            _ => file::remove(&next),
        }
    }

    fn path_of_next(&self) -> PathBuf {
        self.directory.join(REVISIONS).join("next.json")
    }

    fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    fn path_of(&self, number: u64) -> PathBuf {
        self.directory.join(REVISIONS).join(format!("{number:08}.json"))
    }

    /// The numbers of the revisions that are kept, in order.
    fn numbers(&self) -> Result<Vec<u64>, StoreError> {
        let directory = self.directory.join(REVISIONS);
        let entries = fs::read_dir(&directory).map_err(|error| failed("list", &directory, error))?;
        let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok();
        let mut numbers: Vec<u64> = entries.flatten().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn with_way_back(&self, error: StoreError) -> StoreError {
        error.with_last_good(self.last_good())
    }

    /// The newest revision that can be used.
    fn last_good(&self) -> Option<PathBuf> {
        self.numbers()
            .ok()?
            .into_iter()
            .rev()
            .find(|number| self.revision(*number).is_ok())
            .map(|n| self.path_of(n))
    }

    /// What cannot be removed now is removed after the next change.
    fn prune(&self) {
        let Ok(numbers) = self.numbers() else { return };
        let mut bytes = 0_u64;
        for (age, number) in numbers.into_iter().rev().enumerate() {
            let path = self.path_of(number);
            bytes = bytes.saturating_add(fs::metadata(&path).map_or(0, |file| file.len()));
            let old = age >= KEPT_REVISIONS || (age >= ALWAYS_KEPT && bytes > KEPT_BYTES);
            if old && let Err(error) = file::remove(&path) {
                tracing::warn!(%error, "an old revision stays");
            }
        }
    }
}
