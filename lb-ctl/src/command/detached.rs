//! Starting a process of this program that goes on when the command ends.

use crate::api::Failure;
use crate::cli::Global;
use crate::pid_file::Role;
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setsid};
use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval, timeout};

/// Longest time until the process is ready: the verifier takes most of it.
pub(super) const START: Duration = Duration::from_secs(30);
pub(super) const POLL: Duration = Duration::from_millis(20);
const STOP: Duration = Duration::from_secs(5);

/// Set for a process that leaves the session of the command that started it.
const VARIABLE: &str = "LB_DETACHED";

/// Leaves the session of the command that started this process, if it was started here; gives whether it was.
///
/// # Errors
/// The kernel refuses.
pub(super) fn leave_session() -> Result<bool> {
    let detached = env::var_os(VARIABLE).is_some();
    if detached {
        setsid().context("cannot leave the session")?;
    }
    Ok(detached)
}

/// A process that this command started.
pub(super) struct Started {
    child: Child,
    who: &'static str,
    /// Its process id.
    pub(super) pid: u32,
    /// Where it logs.
    pub(super) log: PathBuf,
    logged_before: u64,
}

/// Starts this program with `arguments`; it logs to the file `log` of the state directory, which is made.
///
/// # Errors
/// It cannot be started.
pub(super) fn start(
    role: &Role,
    state_dir: &Path,
    log: &str,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Started> {
    let who = role.who;
    let log = state_dir.join(log);
    let made = DirBuilder::new().recursive(true).mode(0o750).create(state_dir);
    made.with_context(|| format!("cannot make {}", state_dir.display()))?;
    let file = OpenOptions::new().create(true).append(true).mode(0o640).open(&log);
    let file = file.with_context(|| format!("cannot open {}", log.display()))?;
    let logged_before = file.metadata().with_context(|| format!("cannot look at {}", log.display()))?.len();
    let program = env::current_exe().context("cannot find the running executable")?;
    let mut command = Command::new(program);
    command.args(arguments).env(VARIABLE, "1").current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    let child = command.spawn().with_context(|| format!("cannot start the {who}"))?;
    let pid = child.id().with_context(|| format!("the {who} ended at once"))?;
    Ok(Started { child, who, pid, log, logged_before })
}

/// The global options that name a path, for another working directory.
pub(super) fn paths(global: &Global) -> impl Iterator<Item = OsString> {
    [("--socket", &global.socket), ("--bpffs", &global.bpffs), ("--state-dir", &global.state_dir)]
        .into_iter()
        .flat_map(|(option, path)| {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            [option.into(), path.into_os_string()]
        })
}

impl Started {
    /// Waits until `is_ready` says so.
    ///
    /// # Errors
    /// The process ends before, or is not ready in time.
    pub(super) async fn until(&mut self, mut is_ready: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
        let (deadline, mut poll, who) = (Instant::now() + START, interval(POLL), self.who);
        while Instant::now() < deadline {
            poll.tick().await;
            if let Some(status) =
                self.child.try_wait().with_context(|| format!("cannot wait for the {who}"))?
            {
                return Err(self.ended(status).into());
            }
            tokio::select! {
                ready = is_ready() => if ready? { return Ok(()) },
                _ended = self.child.wait() => {}
            }
        }
        let message = format!("the {who} was not ready within {START:?}");
        Err(Failure::failed(message).with_hint(format!("its log is {}", self.log.display())).into())
    }

    /// Stops the process and waits for its end.
    ///
    /// # Errors
    /// It cannot be stopped.
    pub(super) async fn stop(&mut self) -> Result<()> {
        let who = self.who;
        if self.child.try_wait().with_context(|| format!("cannot wait for the {who}"))?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.pid).with_context(|| format!("the {who} has an impossible pid"))?;
        kill(Pid::from_raw(pid), Signal::SIGTERM).with_context(|| format!("cannot stop the {who}"))?;
        if timeout(STOP, self.child.wait()).await.is_err() {
            self.child.kill().await.with_context(|| format!("cannot kill the {who}"))?;
        }
        Ok(())
    }

    fn ended(&self, status: ExitStatus) -> Failure {
        Failure::failed(format!("the {} ended before it was ready ({status})", self.who))
            .with_hint(format!("its log is {}", self.log.display()))
    }

    /// The last error that the process wrote to its log.
    pub(super) fn last_error(&self) -> Option<Failure> {
        last_error(&self.log, self.logged_before)
    }
}

/// The last error in a log after the first `skip` bytes.
fn last_error(log: &Path, skip: u64) -> Option<Failure> {
    let mut file = fs::File::open(log).ok()?;
    file.seek(SeekFrom::Start(skip)).ok()?;
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    told_error(&text)
}

/// The last error in a log, with its hint.
pub(super) fn told_error(log: &str) -> Option<Failure> {
    let (_, error) = log.rsplit_once("error: ")?;
    let failure = |message: &str| Failure::failed(message.trim());
    Some(match error.split_once("\nhint:") {
        Some((message, hint)) => failure(message).with_hint(hint.trim()),
        None => failure(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_process_wrote_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("agent.log");
        let old = "error: of another day\n";
        let rows = [
            ("INFO the agent is running\n", None),
            ("INFO loading\nerror: cannot load\n", Some(("cannot load", None))),
            (
                "error: cannot load\nthe last lines\nhint:  a newer kernel\n",
                Some(("cannot load\nthe last lines", Some("a newer kernel"))),
            ),
        ];
        for (new, want) in rows {
            fs::write(&log, format!("{old}{new}")).unwrap();
            let failure = last_error(&log, old.len() as u64);
            let told = failure.as_ref().map(|failure| (failure.message.as_str(), failure.hint.as_deref()));
            assert_eq!(told, want, "{new}");
        }
    }
}
