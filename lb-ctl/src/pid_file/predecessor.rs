//! Ending the process that a command left behind, so that this one goes on in its place.
//!
//! A service manager, or somebody at a terminal, starts one for good; that of a command is a stand-in until then. Those that
//! were started in another way are left alone.

use super::Role;
use crate::api::Failure;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// Longest time that an agent takes to answer what it was asked, and to end.
const END: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// Asks the process `pid` to end and waits until it has, if it is the one that has `lock` locked; gives whether it was.
///
/// # Errors
///
/// It does not end.
pub(super) fn end(Role { who, goes_on, .. }: &Role, pid: u32, lock: &File) -> Result<bool, Failure> {
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // The descriptor stays that of this process, even if it ends and its number is given to another one.
    let Some(process) = number.and_then(|number| pidfd_open(number, PidfdFlags::empty()).ok()) else {
        return Ok(false);
    };
    if !holds(pid, lock) {
        return Ok(false);
    }
    tracing::info!(pid, "taking over from the {who} that a command started");
    let failed = |problem: &str| {
        Failure::failed(format!(
            "cannot take over from the {who} that a command started (pid {pid}): {problem}"
        ))
        .with_hint(format!("`kill -9 {pid}` ends it; {goes_on} goes on"))
    };
    pidfd_send_signal(&process, Signal::TERM).map_err(|error| failed(&error.to_string()))?;
    let timeout = Timespec::try_from(END).ok();
    match retry_on_intr(|| poll(&mut [PollFd::new(&process, PollFlags::IN)], timeout.as_ref())) {
        Ok(1..) => Ok(true),
        Ok(0) => Err(failed(&format!("it did not end within {END:?}"))),
        Err(error) => Err(failed(&error.to_string())),
    }
}

/// Waits for a moment, in which whoever only looked at the lock lets it go.
pub(super) fn pause() -> io::Result<()> {
    let pause = Timespec::try_from(PAUSE).ok();
    retry_on_intr(|| poll(&mut [], pause.as_ref()))?;
    Ok(())
}

/// Whether a descriptor of the process `pid` holds the lock of this very file.
fn holds(pid: u32, lock: &File) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let (Ok(own), Ok(open)) = (lock.metadata(), fs::read_dir(process.join("fd"))) else { return false };
    open.flatten().any(|descriptor| {
        let same = fs::metadata(descriptor.path())
            .is_ok_and(|file| (file.dev(), file.ino()) == (own.dev(), own.ino()));
        let told = || fs::read_to_string(process.join("fdinfo").join(descriptor.file_name()));
        same && told().is_ok_and(|told| told.lines().any(|line| line.starts_with("lock:")))
    })
}

#[cfg(test)]
mod tests {
    use super::super::AGENT;
    use super::*;
    use std::process::{Command, Stdio};

    fn sleeper(stdin: Stdio) -> std::process::Child {
        Command::new("sleep").arg("60").stdin(stdin).spawn().unwrap()
    }

    #[test]
    fn only_the_process_that_holds_the_lock_is_ended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let lock = File::create(&path).unwrap();
        let other = File::open(&path).unwrap();
        let mut without = sleeper(Stdio::from(other));
        assert!(!end(&AGENT, without.id(), &lock).unwrap(), "it has the file open, but no lock");
        assert!(without.try_wait().unwrap().is_none(), "it was ended");
        let locked = File::open(&path).unwrap();
        locked.lock().unwrap();
        let mut holder = sleeper(Stdio::from(locked));
        assert!(end(&AGENT, holder.id(), &lock).unwrap());
        assert!(!holder.wait().unwrap().success());
        assert!(!end(&AGENT, holder.id(), &lock).unwrap(), "it is gone");
        without.kill().unwrap();
        without.wait().unwrap();
    }
}
