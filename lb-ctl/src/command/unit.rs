//! The systemd unit of the agent, where one is installed: `attach` starts that one rather than an agent of its own.
//!
//! systemd is asked through `systemctl`, which also knows whether systemd runs at all.

use super::agent::Tuning;
use super::detached::told_error;
use crate::api::Failure;
use crate::api::client::Client;
use crate::cli::{self, Global};
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

/// The name that it is installed by.
const UNIT: &str = "lb-agent.service";

/// The unit, as systemd knew it before anything was done to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unit {
    was_stopped: bool,
    /// Whether it starts with the machine.
    pub(super) enabled: bool,
}

impl Unit {
    /// The unit that runs the agent of these options; `None` where there is none, or systemd does not run.
    pub(super) async fn of(global: &Global, tuning: &Tuning) -> Option<Self> {
        if !is_meant(global, tuning) {
            return None;
        }
        let asked = ["show", "--property=LoadState,ActiveState,UnitFileState", UNIT];
        let output = systemctl(&asked).output().await.ok().filter(|output| output.status.success())?;
        parse(&String::from_utf8_lossy(&output.stdout))
    }

    /// Starts it, and returns when its agent answers.
    ///
    /// # Errors
    /// It does not start, or its agent does not answer at the socket of `client`; then it is stopped again.
    pub(super) async fn start(&self, client: &Client) -> Result<(), Failure> {
        let started = systemctl(&["start", UNIT]).output().await;
        let started = started.map_err(|error| Failure::failed(format!("cannot run systemctl: {error}")))?;
        let failed = if started.status.success() {
            let Err(silence) = client.status().await else { return Ok(()) };
            let message =
                format!("{UNIT} runs, and its agent does not answer at {}", client.socket().display());
            Failure::failed(format!("{message}: {silence}")).with_hint(format!("`systemctl cat {UNIT}`"))
        } else {
            let said = String::from_utf8_lossy(&started.stderr);
            let said = said.lines().next().unwrap_or_default().to_owned();
            logged_error().await.unwrap_or_else(|| {
                Failure::failed(format!("cannot start {UNIT}: {said}"))
                    .with_hint(format!("`journalctl -u {UNIT}` shows its log"))
            })
        };
        self.stop().await;
        Err(failed)
    }

    /// Stops it if it was stopped before; gives whether it is stopped now.
    pub(super) async fn stop(&self) -> bool {
        // A failure to stop comes beside another one, which is told and matters more.
        self.was_stopped && systemctl(&["stop", UNIT]).status().await.is_ok_and(|status| status.success())
    }
}

/// Whether the unit, which has the usual places and no options, is the agent that is asked for.
fn is_meant(global: &Global, tuning: &Tuning) -> bool {
    let usual = |place: &Path, usual: &str| place == Path::new(usual);
    usual(&global.socket, cli::SOCKET)
        && usual(&global.bpffs, cli::BPFFS)
        && usual(&global.state_dir, cli::STATE_DIR)
        && tuning.socket_group().is_none()
        && !tuning.debug_log
}

/// Reads `systemctl show`.
fn parse(shown: &str) -> Option<Unit> {
    let value = |key: &str| shown.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    (value("LoadState")? == "loaded").then_some(())?;
    let was_stopped = matches!(value("ActiveState")?, "inactive" | "failed");
    Some(Unit { was_stopped, enabled: value("UnitFileState")? != "disabled" })
}

fn systemctl(arguments: &[&str]) -> Command {
    let mut command = Command::new("systemctl");
    command.args(["--no-ask-password", "--no-pager"]).args(arguments).stdin(Stdio::null());
    command
}

/// The last error in its log.
async fn logged_error() -> Option<Failure> {
    // What the journal has received may not be written yet.
    journalctl(&["--sync"]).output().await.ok()?;
    let log = journalctl(&["--output=cat", "--lines=40", "--unit", UNIT]).output().await.ok()?;
    told_error(&String::from_utf8_lossy(&log.stdout))
}

fn journalctl(arguments: &[&str]) -> Command {
    let mut command = Command::new("journalctl");
    command.args(["--no-pager", "--quiet"]).args(arguments).stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_says_tells_whether_there_is_a_unit_to_start() {
        let unit = |was_stopped, enabled| Some(Unit { was_stopped, enabled });
        let rows = [
            ("LoadState=loaded\nActiveState=inactive\nUnitFileState=enabled\n", unit(true, true)),
            ("LoadState=loaded\nActiveState=failed\nUnitFileState=disabled\n", unit(true, false)),
            ("LoadState=loaded\nActiveState=activating\nUnitFileState=enabled\n", unit(false, true)),
            ("LoadState=loaded\nActiveState=inactive\nUnitFileState=\n", unit(true, true)),
            ("LoadState=not-found\nActiveState=inactive\nUnitFileState=\n", None),
            ("LoadState=masked\nActiveState=inactive\nUnitFileState=masked\n", None),
            ("", None),
        ];
        for (shown, want) in rows {
            assert_eq!(parse(shown), want, "{shown}");
        }
    }

    #[test]
    fn other_places_and_options_are_those_of_another_agent() {
        let global = Global {
            json: false,
            socket: cli::SOCKET.into(),
            bpffs: cli::BPFFS.into(),
            state_dir: cli::STATE_DIR.into(),
        };
        assert!(is_meant(&global, &Tuning::default()));
        let debugging = Tuning::with_debug_log();
        assert!(!is_meant(&global, &debugging));
        let others = [
            Global { socket: "/tmp/agent.sock".into(), ..global.clone() },
            Global { bpffs: "/sys/fs/bpf/other".into(), ..global.clone() },
            Global { state_dir: "/srv/lb".into(), ..global },
        ];
        for other in others {
            assert!(!is_meant(&other, &Tuning::default()), "{other:?}");
        }
    }
}
