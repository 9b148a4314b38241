//! The client's requests, and what everybody counted meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lb_tests::lab::site::DEVICE;
use lb_tests::lab::{Host, http, interrupted};
use serde_json::Value;

use super::stage::{Role, Stage};

/// What was seen of one server.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Seen {
    /// Answers that the client got from it.
    pub(super) answers: u64,
    /// Packets that its network card sent meanwhile.
    pub(super) sent: u64,
    /// Packets that the director forwarded to it.
    pub(super) forwarded: u64,
    /// Packets of it that the director translated back.
    pub(super) translated: u64,
}

/// What came of the requests.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) requests: u32,
    pub(super) took: Duration,
    /// By the name of the server.
    pub(super) servers: BTreeMap<String, Seen>,
}

impl Tally {
    /// Makes `requests` requests, each over a connection of its own, and counts.
    pub(super) fn of(stage: &Stage, requests: u32) -> Result<Self> {
        let mut servers: BTreeMap<String, Seen> = BTreeMap::new();
        for (host, _) in stage.servers() {
            servers.entry(host.name().to_owned()).or_default().sent = packets_sent(host)?;
        }
        let start = Instant::now();
        for number in 1..=requests {
            if interrupted() {
                bail!("interrupted after {} requests", number - 1);
            }
            let reply = http::get(stage.client(), stage.service(), "/")
                .with_context(|| format!("request {number} of {requests} was not answered"))?;
            servers.entry(reply.server).or_default().answers += 1;
        }
        let took = start.elapsed();
        for (host, _) in stage.servers() {
            let seen = servers.entry(host.name().to_owned()).or_default();
            seen.sent = packets_sent(host)?.saturating_sub(seen.sent);
        }
        add_director_counters(&mut servers, &stage.director().lb("stats --json")?)?;
        Ok(Self { requests, took, servers })
    }

    /// Whether what was seen is what the demo goes on to explain.
    ///
    /// # Errors
    /// A share is not what the weights give, or replies took another way than their method's.
    pub(super) fn check(&self, stage: &Stage) -> Result<()> {
        let turn: u32 = stage.servers().map(|(_, role)| role.weight).sum();
        for (_, Role { name, method, weight }) in stage.servers() {
            let Seen { answers, translated, .. } = self.servers.get(name).copied().unwrap_or_default();
            let whole_turns = u64::from(self.requests / turn * weight);
            let most = whole_turns + u64::from(weight.min(self.requests % turn));
            if !(whole_turns..=most).contains(&answers) {
                bail!(
                    "{name} answered {answers} of {} requests; its weight gives {whole_turns} to {most}",
                    self.requests
                );
            }
            if (translated > 0) != (method == "nat" && answers > 0) {
                bail!(
                    "{translated} replies of {name} came back through the director, which is wrong for {method}"
                );
            }
        }
        Ok(())
    }
}

/// Reads the two directions of every server from what `lb-ctl stats --json` wrote.
fn add_director_counters(servers: &mut BTreeMap<String, Seen>, json: &str) -> Result<()> {
    let stats: Value = serde_json::from_str(json).context("`lb-ctl stats --json` wrote no JSON")?;
    let rows =
        stats.get("servers").and_then(Value::as_array).context("`lb-ctl stats --json` has no servers")?;
    for row in rows {
        let number = |key: &str| row.get(key).and_then(Value::as_u64);
        let name = row.get("server").and_then(Value::as_str);
        let (Some(name), Some(forwarded), Some(translated)) =
            (name, number("in_packets"), number("out_packets"))
        else {
            bail!("`lb-ctl stats --json` has a server without its counters: {row}");
        };
        let seen = servers.entry(name.to_owned()).or_default();
        (seen.forwarded, seen.translated) = (forwarded, translated);
    }
    Ok(())
}

/// Packets that the machine's network card has sent so far.
fn packets_sent(host: &Host) -> Result<u64> {
    let json = host.ip(&format!("-json -stats link show dev {DEVICE}"))?;
    let links: Value = serde_json::from_str(&json).context("`ip -json link` wrote no JSON")?;
    let packets = links.pointer("/0/stats64/tx/packets").and_then(Value::as_u64);
    packets.with_context(|| format!("`ip -json -stats link` on {} has no packet counters", host.name()))
}
