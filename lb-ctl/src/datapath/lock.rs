//! One writer for the pins: a lock on their directory, which the kernel takes back when the process ends.

use super::error::{DatapathError, Result, kernel};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Holds the lock until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _directory: File,
}

/// Takes the lock of the pins in `directory`.
pub(super) fn take(directory: &Path) -> Result<Lock> {
    let doing = || kernel(format!("lock {}", directory.display()));
    let file = File::open(directory).map_err(doing())?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _directory: file }),
        Err(TryLockError::WouldBlock) => {
            Err(DatapathError::InUse { directory: directory.to_owned(), pid: holder(&file) })
        }
        Err(TryLockError::Error(error)) => Err(doing()(error)),
    }
}

/// The process that holds the lock, if the kernel tells.
fn holder(directory: &File) -> Option<u32> {
    let metadata = directory.metadata().ok()?;
    let (major, minor) = (libc::major(metadata.dev()), libc::minor(metadata.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", metadata.ino());
    holder_in(&fs::read_to_string("/proc/locks").ok()?, &file)
}

/// The process of a line `1: FLOCK ADVISORY WRITE 4711 fe:00:1234 0 EOF`; 0 and -1 are those of other namespaces.
fn holder_in(locks: &str, file: &str) -> Option<u32> {
    let line = locks.lines().find(|line| line.split_whitespace().nth(5) == Some(file))?;
    line.split_whitespace().nth(4)?.parse().ok().filter(|pid| *pid != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_writer_is_told_who_the_first_is() {
        let directory = tempfile::tempdir().unwrap();
        let first = take(directory.path()).unwrap();
        let error = take(directory.path()).unwrap_err();
        let own = std::process::id();
        assert!(matches!(error, DatapathError::InUse { pid: Some(pid), .. } if pid == own), "{error:?}");
        assert_eq!(error.hint(), Some(format!("`kill {own}` stops it; forwarding goes on")));
        drop(first);
        take(directory.path()).unwrap();
    }

    #[test]
    fn a_process_out_of_sight_has_no_number() {
        let locks = "1: POSIX  ADVISORY  READ 7 00:27:1 0 EOF\n2: FLOCK  ADVISORY  WRITE 0 00:27:12 0 EOF\n";
        for (file, want) in [("00:27:1", Some(7)), ("00:27:12", None), ("00:27:2", None)] {
            assert_eq!(holder_in(locks, file), want, "{file}");
        }
    }
}
