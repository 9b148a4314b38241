//! `lb-ctl stats`.

use super::client;
use crate::api::client::Client;
use crate::api::{ReasonCount, SampleRequest, ServerTraffic, ServiceTraffic, Stats, UnsentCount};
use crate::cli::Global;
use crate::render;
use anyhow::Result;
use clap::Args;
use std::io::{self, IsTerminal};
use std::time::Duration;
use tokio::time::interval;

const SAMPLE_WAIT_MS: u32 = 500;
/// Moves the cursor home and clears the rest of a terminal.
const CLEAR: &str = "\x1b[H\x1b[J";

/// What is shown.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Show what happens per second, again and again, every SECONDS [default: 1]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3_600))]
    watch: Option<u64>,
    /// Show one decision in NUMBER as it is made, until interrupted
    #[arg(long, value_name = "NUMBER", conflicts_with = "watch")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    samples: Option<u32>,
}

/// Shows counters, rates or decisions.
///
/// # Errors
/// The agent cannot be reached.
pub async fn run(global: &Global, Arguments { watch, samples }: Arguments) -> Result<()> {
    let client = client(global);
    match (watch, samples) {
        (Some(seconds), _) => show_rates(global, &client, Duration::from_secs(seconds)).await,
        (None, Some(period)) => show_samples(global, &client, period).await,
        (None, None) => render::show(global.json, &client.stats().await?, render::stats::totals),
    }
}

async fn show_rates(global: &Global, client: &Client, period: Duration) -> Result<()> {
    let mut before = client.stats().await?;
    let mut tick = interval(period);
    tick.tick().await;
    loop {
        tick.tick().await;
        let after = client.stats().await?;
        let rates = rates(&before, &after);
        if global.json {
            render::json_line(&rates)?;
        } else {
            let clear = if io::stdout().is_terminal() { CLEAR } else { "" };
            render::text(&format!("{clear}{}", render::stats::rates(&rates)))?;
        }
        before = after;
    }
}

async fn show_samples(global: &Global, client: &Client, period: u32) -> Result<()> {
    loop {
        let samples = client.samples(SampleRequest { period, wait_ms: SAMPLE_WAIT_MS }).await?;
        if global.json {
            samples.iter().try_for_each(render::json_line)?;
        } else {
            render::text(&render::stats::samples(&samples))?;
        }
    }
}

/// What happened per second between two readings. What is new in the second counts from 0, what is gone is left out.
fn rates(before: &Stats, after: &Stats) -> Stats {
    let elapsed = after.time_ms.saturating_sub(before.time_ms).max(1);
    let rate = |after: u64, before: Option<u64>| {
        let events = u128::from(after.saturating_sub(before.unwrap_or(0)));
        u64::try_from(events * 1_000 / u128::from(elapsed)).unwrap_or(u64::MAX)
    };
    let reason = |new: &ReasonCount| {
        let old = before.reasons.iter().find(|old| old.reason == new.reason && old.verdict == new.verdict);
        ReasonCount {
            packets: rate(new.packets, old.map(|old| old.packets)),
            bytes: rate(new.bytes, old.map(|old| old.bytes)),
            ..new.clone()
        }
    };
    let service = |new: &ServiceTraffic| {
        let old = before.services.iter().find(|old| old.service == new.service);
        ServiceTraffic {
            service: new.service.clone(),
            connections: new.connections.map(|new| rate(new, old.and_then(|old| old.connections))),
            in_packets: rate(new.in_packets, old.map(|old| old.in_packets)),
            in_bytes: rate(new.in_bytes, old.map(|old| old.in_bytes)),
            out_packets: rate(new.out_packets, old.map(|old| old.out_packets)),
            out_bytes: rate(new.out_bytes, old.map(|old| old.out_bytes)),
        }
    };
    let server = |new: &ServerTraffic| {
        let same = |old: &&ServerTraffic| {
            (&old.service, &old.pool, &old.server) == (&new.service, &new.pool, &new.server)
        };
        let old = before.servers.iter().find(same);
        ServerTraffic {
            connections: new.connections.map(|new| rate(new, old.and_then(|old| old.connections))),
            in_packets: rate(new.in_packets, old.map(|old| old.in_packets)),
            in_bytes: rate(new.in_bytes, old.map(|old| old.in_bytes)),
            out_packets: rate(new.out_packets, old.map(|old| old.out_packets)),
            out_bytes: rate(new.out_bytes, old.map(|old| old.out_bytes)),
            ..new.clone()
        }
    };
    let unsent = |new: &UnsentCount| {
        let old = before.unsent.iter().find(|old| (&old.interface, old.error) == (&new.interface, new.error));
        UnsentCount { packets: rate(new.packets, old.map(|old| old.packets)), ..new.clone() }
    };
    Stats {
        time_ms: after.time_ms,
        reasons: after.reasons.iter().map(reason).collect(),
        services: after.services.iter().map(service).collect(),
        servers: after.servers.iter().map(server).collect(),
        unsent: after.unsent.iter().map(unsent).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(time_ms: u64, packets: u64) -> Stats {
        let reason = ReasonCount {
            reason: "forwarded-dr".to_owned(),
            verdict: "forward".to_owned(),
            description: String::new(),
            packets,
            bytes: packets * 100,
        };
        Stats { time_ms, reasons: vec![reason], ..Stats::default() }
    }

    #[test]
    fn a_rate_is_what_happened_in_a_second() {
        let rows = [
            ("one second", stats(1_000, 10), stats(2_000, 110), 100),
            ("half a second", stats(1_000, 10), stats(1_500, 60), 100),
            ("nothing", stats(1_000, 10), stats(2_000, 10), 0),
            ("counters that began again", stats(1_000, 10), stats(2_000, 4), 0),
            ("the same instant", stats(1_000, 10), stats(1_000, 10), 0),
            ("a reason that is new", Stats { time_ms: 1_000, ..Stats::default() }, stats(2_000, 7), 7),
        ];
        for (name, before, after, want) in rows {
            let rates = rates(&before, &after);
            assert_eq!(rates.reasons[0].packets, want, "{name}");
            assert_eq!(rates.reasons[0].bytes, want * 100, "{name}");
        }
    }
}
