//! One agent for one state directory.

use crate::api::Failure;
use anyhow::Context;
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
            return Err(taken(holder(&mut file).as_deref(), state_dir).into());
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(doing),
    }
    file.set_len(0).and_then(|()| file.rewind()).with_context(doing)?;
    writeln!(file, "{}", std::process::id()).with_context(doing)?;
    Ok(Lock { _file: file })
}

/// Whether an agent has the lock now.
pub(crate) fn is_taken(state_dir: &Path) -> bool {
    let file = File::open(state_dir.join(FILE));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn taken(pid: Option<&str>, state_dir: &Path) -> Failure {
    let doing = format!("another agent (pid {}) is running with", pid.unwrap_or("unknown"));
    let failure = Failure::failed(format!("{doing} {}", state_dir.display()));
    match pid {
        Some(pid) => failure.with_hint(format!("`kill {pid}` stops it; forwarding goes on")),
        None => failure,
    }
}

fn holder(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let pid = text.trim();
    (!pid.is_empty()).then(|| pid.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_agent_is_told_who_runs() {
        let directory = tempfile::tempdir().unwrap();
        let first = take(directory.path()).unwrap();
        let error = take(directory.path()).unwrap_err();
        let (failure, pid) = (error.downcast_ref::<Failure>().unwrap(), std::process::id());
        assert!(failure.message.contains(&format!("another agent (pid {pid})")), "{failure}");
        assert_eq!(failure.hint.as_deref(), Some(&*format!("`kill {pid}` stops it; forwarding goes on")));
        assert!(is_taken(directory.path()));
        drop(first);
        assert!(!is_taken(directory.path()));
        take(directory.path()).unwrap();
    }
}
