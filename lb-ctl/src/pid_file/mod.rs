//! One process of a kind for one state directory: it holds the lock of a file that says who it is.

mod predecessor;

use crate::api::Failure;
use anyhow::Context;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The second line of the file of a process that a command started and left behind.
const DETACHED: &str = "detached";
/// Times that a lock is tried. Whoever looks whether it is taken has a share of it for a moment.
const TRIES: u32 = 5;

/// A kind of process that runs once with a state directory.
#[derive(Debug)]
pub(crate) struct Role {
    file: &'static str,
    /// What it is called.
    pub(crate) who: &'static str,
    /// What goes on without it.
    goes_on: &'static str,
}

/// The agent.
pub(crate) const AGENT: Role = Role { file: "agent.pid", who: "agent", goes_on: "forwarding" };
/// The process that supervises the decapsulation program.
pub(crate) const DECAP: Role =
    Role { file: "decap.pid", who: "decapsulation supervisor", goes_on: "decapsulation" };

/// Holds the lock and says in its file who does, until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Takes the lock of `role` in the state directory. From a process that a command left behind (`detached`), one that was
/// started in another way takes it over.
///
/// # Errors
///
/// Another process has it.
pub(crate) fn take(role: &Role, state_dir: &Path, detached: bool) -> anyhow::Result<Lock> {
    let path = state_dir.join(role.file);
    let doing = || format!("cannot use {}", path.display());
    let opened =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(&path);
    let mut file = opened.with_context(doing)?;
    if !try_lock(&file).with_context(doing)? {
        let holder = holder(&mut file);
        let stand_in = holder.as_ref().filter(|holder| holder.detached && !detached);
        let ended = stand_in.map_or(Ok(false), |holder| predecessor::end(role, holder.pid, &file))?;
        if !(ended && try_lock(&file).with_context(doing)?) {
            return Err(taken(role, holder.map(|holder| holder.pid), state_dir).into());
        }
    }
    file.set_len(0).and_then(|()| file.rewind()).with_context(doing)?;
    let how = if detached { DETACHED } else { "" };
    writeln!(file, "{}\n{how}", std::process::id()).with_context(doing)?;
    Ok(Lock { _file: file })
}

/// Whether a process has the lock of `role` now.
pub(crate) fn is_taken(role: &Role, state_dir: &Path) -> bool {
    let file = File::open(state_dir.join(role.file));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Refuses to go on while another process has the lock of `role`.
pub(crate) fn refuse_beside(role: &Role, state_dir: &Path) -> Result<(), Failure> {
    if is_taken(role, state_dir) {
        return Err(taken(role, last_holder(role, state_dir), state_dir));
    }
    Ok(())
}

/// The process that has the lock of `role`, or had it last.
pub(crate) fn last_holder(role: &Role, state_dir: &Path) -> Option<u32> {
    holder(&mut File::open(state_dir.join(role.file)).ok()?).map(|holder| holder.pid)
}

fn try_lock(file: &File) -> io::Result<bool> {
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => predecessor::pause()?,
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

fn taken(role: &Role, pid: Option<u32>, state_dir: &Path) -> Failure {
    let Role { who, goes_on, .. } = role;
    let number = pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
    let failure =
        Failure::failed(format!("another {who} (pid {number}) is running with {}", state_dir.display()));
    match pid {
        Some(pid) => failure.with_hint(format!("`kill {pid}` stops it; {goes_on} goes on")),
        None => failure,
    }
}

/// What a process notes of itself.
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

    /// A process that another test starts has every open file of this one for a moment, and its locks.
    fn eventually(is_so: impl Fn() -> bool) {
        for _ in 0..200 {
            if is_so() {
                return;
            }
            predecessor::pause().unwrap();
        }
        panic!("it is locked still");
    }

    #[test]
    fn the_second_of_a_kind_is_told_who_runs() {
        let directory = tempfile::tempdir().unwrap();
        for (role, other, who) in [(&AGENT, &DECAP, "agent"), (&DECAP, &AGENT, "decapsulation supervisor")] {
            let first = take(role, directory.path(), false).unwrap();
            let error = take(role, directory.path(), false).unwrap_err();
            let (failure, pid) = (error.downcast_ref::<Failure>().unwrap(), std::process::id());
            assert!(failure.message.contains(&format!("another {who} (pid {pid})")), "{failure}");
            let hint = failure.hint.as_deref().unwrap();
            assert!(hint.starts_with(&format!("`kill {pid}` stops it; ")), "{hint}");
            assert!(is_taken(role, directory.path()) && !is_taken(other, directory.path()));
            assert_eq!(last_holder(role, directory.path()), Some(pid));
            drop(first);
            eventually(|| !is_taken(role, directory.path()));
            take(role, directory.path(), true).unwrap();
        }
    }

    #[test]
    fn one_that_a_command_started_takes_over_from_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let _first = take(&AGENT, directory.path(), true).unwrap();
        let error = take(&AGENT, directory.path(), true).unwrap_err();
        assert!(error.to_string().contains("another agent"), "{error}");
    }

    #[test]
    fn looking_does_not_keep_anybody_from_starting() {
        let directory = tempfile::tempdir().unwrap();
        drop(take(&DECAP, directory.path(), false).unwrap());
        let looking = File::open(directory.path().join(DECAP.file)).unwrap();
        eventually(|| looking.try_lock_shared().is_ok());
        let looks = std::thread::spawn(move || {
            predecessor::pause().unwrap();
            drop(looking);
        });
        take(&DECAP, directory.path(), false).unwrap();
        looks.join().unwrap();
    }
}
