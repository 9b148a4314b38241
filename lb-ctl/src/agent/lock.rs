//! One agent for one state directory.

use super::predecessor;
use crate::api::Failure;
use anyhow::Context;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const FILE: &str = "agent.pid";
/// The second line of the file where `attach` started the agent.
const DETACHED: &str = "detached";

/// Holds the lock and says in its file who does, until it is dropped or the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Takes the lock of the state directory. From an agent that `attach` started, one that it did not start takes it over.
///
/// # Errors
///
/// Another agent has it.
pub(super) fn take(state_dir: &Path, detached: bool) -> anyhow::Result<Lock> {
    let path = state_dir.join(FILE);
    let doing = || format!("cannot use {}", path.display());
    let opened =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(&path);
    let mut file = opened.with_context(doing)?;
    if !try_lock(&file).with_context(doing)? {
        let holder = holder(&mut file);
        let stand_in = holder.as_ref().filter(|holder| holder.detached && !detached);
        let ended = stand_in.map_or(Ok(false), |holder| predecessor::end(holder.pid, &file))?;
        if !(ended && try_lock(&file).with_context(doing)?) {
            return Err(taken(holder.map(|holder| holder.pid), state_dir).into());
        }
    }
    file.set_len(0).and_then(|()| file.rewind()).with_context(doing)?;
    let how = if detached { DETACHED } else { "" };
    writeln!(file, "{}\n{how}", std::process::id()).with_context(doing)?;
    Ok(Lock { _file: file })
}

/// Whether an agent has the lock now.
pub(crate) fn is_taken(state_dir: &Path) -> bool {
    let file = File::open(state_dir.join(FILE));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The process id that the last agent noted.
pub(crate) fn noted_pid(state_dir: &Path) -> Option<u32> {
    holder(&mut File::open(state_dir.join(FILE)).ok()?).map(|holder| holder.pid)
}

fn try_lock(file: &File) -> std::io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn taken(pid: Option<u32>, state_dir: &Path) -> Failure {
    let shown = pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
    let failure =
        Failure::failed(format!("another agent (pid {shown}) is running with {}", state_dir.display()));
    match pid {
        Some(pid) => failure.with_hint(format!("`kill {pid}` stops it; forwarding goes on")),
        None => failure,
    }
}

/// What an agent notes of itself.
struct Holder {
    pid: u32,
    detached: bool,
}

fn holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    Some(Holder { pid: lines.next()?.trim().parse().ok()?, detached: lines.next() == Some(DETACHED) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_agent_is_told_who_runs() {
        let directory = tempfile::tempdir().unwrap();
        let first = take(directory.path(), false).unwrap();
        let error = take(directory.path(), false).unwrap_err();
        let (failure, pid) = (error.downcast_ref::<Failure>().unwrap(), std::process::id());
        assert!(failure.message.contains(&format!("another agent (pid {pid})")), "{failure}");
        assert_eq!(failure.hint.as_deref(), Some(&*format!("`kill {pid}` stops it; forwarding goes on")));
        assert!(is_taken(directory.path()));
        drop(first);
        assert!(!is_taken(directory.path()));
        take(directory.path(), true).unwrap();
        assert_eq!(noted_pid(directory.path()), Some(pid));
    }

    #[test]
    fn one_that_attach_started_takes_over_from_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let _first = take(directory.path(), true).unwrap();
        let error = take(directory.path(), true).unwrap_err();
        assert!(error.to_string().contains("another agent"), "{error}");
    }
}
