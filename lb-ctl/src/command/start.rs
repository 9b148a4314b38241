//! Starting an agent that goes on when the command ends.

use super::agent::{DETACHED, Tuning};
use crate::agent::{lock, ownership};
use crate::api::Failure;
use crate::api::client::Client;
use crate::cli::Global;
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval, timeout};

/// Longest time until the agent answers: the verifier takes most of it.
const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// An agent that this command started.
pub(super) struct Started {
    child: Child,
    /// Its process id.
    pub(super) pid: u32,
    /// Where it logs.
    pub(super) log: PathBuf,
}

/// Starts an agent and waits until it answers; `None` if another command was faster and its agent answers.
///
/// # Errors
/// It ends before it answers, or does not answer in time; then no process is left.
pub(super) async fn start(global: &Global, tuning: &Tuning, client: &Client) -> Result<Option<Started>> {
    let deadline = Instant::now() + START;
    let log = global.state_dir.join("agent.log");
    ownership::check_state(&global.state_dir)?;
    let made = DirBuilder::new().recursive(true).mode(0o750).create(&global.state_dir);
    made.with_context(|| format!("cannot make {}", global.state_dir.display()))?;
    let file = OpenOptions::new().create(true).append(true).mode(0o640).open(&log);
    let file = file.with_context(|| format!("cannot open {}", log.display()))?;
    let logged_before = file.metadata().with_context(|| format!("cannot look at {}", log.display()))?.len();
    let program = std::env::current_exe().context("cannot find the running executable")?;
    let mut command = Command::new(program);
    command.args(arguments(global, tuning)).env(DETACHED, "1").current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    let child = command.spawn().context("cannot start the agent")?;
    let pid = child.id().context("the agent ended at once")?;
    let mut started = Started { child, pid, log };
    match started.answers(client).await {
        Ok(()) => Ok(Some(started)),
        Err(error) => {
            started.stop().await?;
            if lock::is_taken(&global.state_dir) && another_answers(client, deadline).await {
                return Ok(None);
            }
            let said = last_error(&started.log, logged_before);
            Err(said.map_or(error, Into::into))
        }
    }
}

async fn another_answers(client: &Client, deadline: Instant) -> bool {
    let mut poll = interval(POLL);
    while Instant::now() < deadline {
        poll.tick().await;
        if client.status().await.is_ok() {
            return true;
        }
    }
    false
}

fn arguments(global: &Global, tuning: &Tuning) -> Vec<std::ffi::OsString> {
    let mut arguments = vec!["agent".into()];
    for (option, path) in
        [("--socket", &global.socket), ("--bpffs", &global.bpffs), ("--state-dir", &global.state_dir)]
    {
        // Its working directory is another one.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        arguments.extend([option.into(), path.into_os_string()]);
    }
    if let Some(group) = tuning.socket_group() {
        arguments.extend(["--socket-group".into(), group.into()]);
    }
    if tuning.debug_log {
        arguments.push("--debug-log".into());
    }
    arguments
}

impl Started {
    async fn answers(&mut self, client: &Client) -> Result<()> {
        let (deadline, mut poll) = (Instant::now() + START, interval(POLL));
        while Instant::now() < deadline {
            poll.tick().await;
            if let Some(status) = self.child.try_wait().context("cannot wait for the agent")? {
                return Err(ended(status, &self.log).into());
            }
            if client.is_agent_there().await? && self.has_started(client).await {
                return Ok(());
            }
        }
        let message = format!("the agent did not answer at {} within {START:?}", client.socket().display());
        Err(Failure::failed(message).with_hint(format!("its log is {}", self.log.display())).into())
    }

    /// The socket is there before the programs are loaded: only an answer tells that all of it worked.
    async fn has_started(&mut self, client: &Client) -> bool {
        tokio::select! {
            status = client.status() => status.is_ok(),
            _ended = self.child.wait() => false,
        }
    }

    /// Stops the agent and waits for its end.
    ///
    /// # Errors
    /// It cannot be stopped.
    pub(super) async fn stop(&mut self) -> Result<()> {
        if self.child.try_wait().context("cannot wait for the agent")?.is_some() {
            return Ok(());
        }
        let pid = Pid::from_raw(i32::try_from(self.pid).context("the agent has an impossible process id")?);
        kill(pid, Signal::SIGTERM).context("cannot stop the agent")?;
        if timeout(STOP, self.child.wait()).await.is_err() {
            self.child.kill().await.context("cannot kill the agent")?;
        }
        Ok(())
    }
}

fn ended(status: ExitStatus, log: &Path) -> Failure {
    Failure::failed(format!("the agent ended before it answered ({status})"))
        .with_hint(format!("its log is {}", log.display()))
}

/// The last error that the agent wrote to its log after the first `skip` bytes.
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
    fn only_what_this_agent_wrote_is_told() {
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
