//! `lb-ctl events`.

use super::client;
use crate::api::client::Client;
use crate::api::events::Events;
use crate::api::{Event, EventKind, EventRequest};
use crate::cli::Global;
use crate::render;
use anyhow::Result;
use clap::Args;
use std::time::Duration;
use tokio::time::interval;

/// Time between two looks for the next agent.
const RETRY: Duration = Duration::from_millis(500);

/// Which events.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only events after the one with this number, the `sequence` of --json
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    since: u64,
    /// End when all that is remembered was shown
    #[arg(long)]
    no_follow: bool,
}

/// Shows events; without `--no-follow` until interrupted.
///
/// # Errors
/// The agent cannot be reached at first, or its socket may not be used any more.
pub async fn run(global: &Global, Arguments { since, no_follow }: Arguments) -> Result<()> {
    let client = client(global);
    let mut request = EventRequest { since, follow: !no_follow };
    let mut events = client.events(request).await?;
    loop {
        let last = show(global, &mut events).await?;
        if no_follow {
            return Ok(());
        }
        let stopped = last.as_ref().is_some_and(|event| event.kind == EventKind::Stop);
        request.since = last.map_or(request.since, |event| event.sequence);
        let how = if stopped { "stopped" } else { "ended without a word" };
        render::note(&format!("the agent {how}; waiting for the next one"));
        events = next_agent(&client, request).await?;
    }
}

/// Shows events until there are no more; gives the last one.
async fn show(global: &Global, events: &mut Events) -> Result<Option<Event>> {
    let mut last = None;
    while let Some(event) = events.next().await? {
        if global.json {
            render::json_line(&event)?;
        } else {
            render::text(&render::events::event(&event))?;
        }
        last = Some(event);
    }
    Ok(last)
}

async fn next_agent(client: &Client, request: EventRequest) -> Result<Events> {
    let mut retry = interval(RETRY);
    loop {
        retry.tick().await;
        if client.is_agent_there().await?
            && let Ok(events) = client.events(request).await
        {
            return Ok(events);
        }
    }
}
