//! One at a time: a lock for whoever is about to change the decapsulation program or what is recorded of it.

use crate::api::Failure;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, interval};

const FILE: &str = "decap.lock";
/// The longest wait. Loading the program takes most of a turn, well below a second.
const WAIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// The turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _file: File,
}

/// Waits for the turn; `None` where there is no state directory, and so nothing that is recorded.
///
/// # Errors
///
/// Another process has it for too long.
pub(crate) async fn take(state_dir: &Path) -> Result<Option<Turn>, Failure> {
    take_within(state_dir, WAIT).await
}

async fn take_within(state_dir: &Path, wait: Duration) -> Result<Option<Turn>, Failure> {
    let path = state_dir.join(FILE);
    let failed = |error: io::Error| {
        let failure = Failure::failed(format!("cannot use {}: {error}", path.display()));
        let denied = error.kind() == ErrorKind::PermissionDenied;
        if denied { failure.with_hint("run it as root") } else { failure }
    };
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let (deadline, mut poll) = (Instant::now() + wait, interval(POLL));
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(Turn { _file: file })),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => poll.tick().await,
            Err(TryLockError::WouldBlock) => return Err(too_long(&path, wait)),
        };
    }
}

fn too_long(path: &Path, wait: Duration) -> Failure {
    let message = format!("another lb-ctl has worked on the decapsulation program for {wait:?}");
    Failure::failed(message).with_hint(format!("`fuser {}` names the process", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let first = take(directory.path()).await.unwrap();
        assert!(first.is_some());
        let second = take(directory.path());
        tokio::pin!(second);
        assert!(tokio::time::timeout(POLL * 5, &mut second).await.is_err());
        drop(first);
        assert!(second.await.unwrap().is_some());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let _first = take(directory.path()).await.unwrap();
        let failure = take_within(directory.path(), 2 * POLL).await.unwrap_err();
        assert!(failure.hint.unwrap().contains("decap.lock"));
    }

    #[tokio::test]
    async fn without_a_state_directory_nobody_waits() {
        let directory = tempfile::tempdir().unwrap();
        assert!(take(&directory.path().join("none")).await.unwrap().is_none());
    }
}
