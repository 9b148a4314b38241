//! One agent for one state directory.

use anyhow::{Context, bail};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

const FILE: &str = "agent.pid";

/// Holds the lock and says in its file who does, until it is dropped or the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Takes the lock of the state directory.
///
/// # Errors
///
/// Another agent has it.
pub(super) fn take(state_dir: &Path) -> anyhow::Result<Lock> {
    let path = state_dir.join(FILE);
    let doing = || format!("cannot use {}", path.display());
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.with_context(doing)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!("another agent (pid {}) is running with {}", holder(&mut file), state_dir.display())
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(doing),
    }
    file.set_len(0).and_then(|()| file.rewind()).with_context(doing)?;
    writeln!(file, "{}", std::process::id()).with_context(doing)?;
    Ok(Lock { _file: file })
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let known = file.read_to_string(&mut text).is_ok() && !text.trim().is_empty();
    if known { text.trim().to_owned() } else { "unknown".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_agent_is_told_who_runs() {
        let directory = tempfile::tempdir().unwrap();
        let first = take(directory.path()).unwrap();
        let error = take(directory.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("another agent (pid {})", std::process::id())), "{error}");
        drop(first);
        take(directory.path()).unwrap();
    }
}
