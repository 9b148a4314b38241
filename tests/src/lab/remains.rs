//! What a lab leaves in the system, who owns it, and how all of it is removed.
//!
//! A lab's directory is made before its first namespace and removed after its last one. Its owner holds a lock on a
//! file in it; the kernel gives the lock up when the owner dies, however it dies.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{lb_ctl, netns};

/// Every namespace and directory of a lab begins with this.
pub(super) const PREFIX: &str = "lbt-";

/// Not `$TMPDIR`: another process has to find the same place.
const ROOT: &str = "/tmp/lbt";

const LOCK: &str = "owner.lock";
const KEPT: &str = "kept";

/// The directory of a lab and the right to it.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) directory: PathBuf,
    _lock: File,
}

impl Claim {
    /// Makes the directory of the lab `id`.
    pub(super) fn create(id: &str) -> Result<Self> {
        let directory = Path::new(ROOT).join(id);
        // Renamed when it is locked, so that nobody sees an unlocked new lab.
        let unborn = Path::new(ROOT).join(format!(".{id}"));
        let locked =
            fs::create_dir_all(&unborn).and_then(|()| File::create(unborn.join(LOCK))).and_then(|lock| {
                lock.lock()?;
                fs::rename(&unborn, &directory)?;
                Ok(lock)
            });
        let lock = locked.with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(Self { directory, _lock: lock })
    }

    /// Takes over the lab `id`; `None` when its owner lives or another process was quicker.
    fn take(id: &str) -> Option<Self> {
        let directory = Path::new(ROOT).join(id);
        let lock = File::open(directory.join(LOCK)).ok()?;
        lock.try_lock().ok()?;
        // Whoever had the lock before may have removed the lab.
        directory.join(LOCK).exists().then_some(Self { directory, _lock: lock })
    }

    /// Marks the lab as one that outlives its process.
    pub(super) fn mark_kept(&self) -> Result<()> {
        let mark = self.directory.join(KEPT);
        fs::write(&mark, "").with_context(|| format!("cannot write {}", mark.display()))
    }

    fn is_kept(&self) -> bool {
        self.directory.join(KEPT).exists()
    }

    /// Removes the lab's processes, namespaces, mounts and files; goes on after a failure and gives the first.
    pub(super) fn remove(&self) -> Result<()> {
        let id = self.directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let names = netns::names_with_prefix(&format!("{id}-"));
        let mut results: Vec<_> = names.iter().map(|name| netns::remove(name)).collect();
        results.push(lb_ctl::unmount_all(&self.directory));
        if results.iter().all(Result::is_ok) {
            let removed = fs::remove_dir_all(&self.directory);
            results.push(removed.with_context(|| format!("cannot remove {}", self.directory.display())));
        }
        results.into_iter().collect()
    }
}

/// Removes the labs whose process is gone; gives how many.
///
/// # Errors
/// Something of them cannot be removed.
pub fn remove_abandoned() -> Result<usize> {
    // Read first: a namespace in this list without a directory in the next one has lost it.
    let namespaces = netns::names_with_prefix(PREFIX);
    let ids = ids()?;
    let orphans = namespaces.iter().filter(|name| !ids.iter().any(|id| name.starts_with(&format!("{id}-"))));
    for orphan in orphans {
        netns::remove(orphan)?;
    }
    remove_where(&ids, |claim| !claim.is_kept())
}

/// Removes the labs that were kept ([`super::Lab::keep`]); gives how many.
///
/// # Errors
/// Something of them cannot be removed.
pub fn remove_kept() -> Result<usize> {
    remove_where(&ids()?, Claim::is_kept)
}

fn remove_where(ids: &[String], condemned: impl Fn(&Claim) -> bool) -> Result<usize> {
    let mut removed = 0;
    for claim in ids.iter().filter_map(|id| Claim::take(id)).filter(condemned) {
        claim.remove()?;
        removed += 1;
    }
    Ok(removed)
}

/// The labs that have a directory.
fn ids() -> Result<Vec<String>> {
    let entries = match fs::read_dir(ROOT) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot list {ROOT}"))?,
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| name.starts_with(PREFIX)).collect())
}
