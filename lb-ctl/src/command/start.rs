//! Starting an agent that goes on when the command ends.

use super::agent::Tuning;
use super::detached::{self, POLL, START, Started};
use crate::agent::ownership;
use crate::api::client::Client;
use crate::cli::Global;
use crate::pid_file::{self, AGENT};
use crate::render;
use anyhow::Result;
use std::ffi::OsString;
use tokio::time::{Instant, interval};

/// Starts an agent and waits until it answers; `None` if another command was faster and its agent answers.
///
/// # Errors
/// It ends before it answers, or does not answer in time; then no process is left.
pub(super) async fn start(global: &Global, tuning: &Tuning, client: &Client) -> Result<Option<Started>> {
    let deadline = Instant::now() + START;
    ownership::check_state(&global.state_dir)?;
    let arguments = arguments(global, tuning);
    let mut started = detached::start(&AGENT, &global.state_dir, "agent.log", arguments)?;
    // The socket is there before the programs are loaded: only an answer tells that all of it worked.
    let answers = async || Ok(client.is_agent_there().await? && client.status().await.is_ok());
    match started.until(answers).await {
        Ok(()) => Ok(Some(started)),
        Err(error) => {
            started.stop().await?;
            if pid_file::is_taken(&AGENT, &global.state_dir) {
                render::note("another agent runs; waiting for its answer");
                if another_answers(client, deadline).await {
                    return Ok(None);
                }
            }
            Err(started.last_error().map_or(error, Into::into))
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

fn arguments(global: &Global, tuning: &Tuning) -> Vec<OsString> {
    let mut arguments: Vec<_> = std::iter::once("agent".into()).chain(detached::paths(global)).collect();
    if let Some(group) = tuning.socket_group() {
        arguments.extend(["--socket-group".into(), group.into()]);
    }
    if tuning.debug_log {
        arguments.push("--debug-log".into());
    }
    arguments
}
