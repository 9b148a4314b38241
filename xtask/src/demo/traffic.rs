//! The client's requests, and what everybody counted meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lb_tests::lab::{Host, http, interrupted};

use super::stage::{PAGE, Role, Stage};

/// What was seen of one server.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Seen {
    /// Answers that the client got from it.
    pub(super) answers: u64,
    /// Bytes that it sent with one page of [`PAGE`] bytes.
    pub(super) sent: u64,
    /// Bytes that the director received meanwhile: from the client, and the reply if it came that way.
    pub(super) received: u64,
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
    /// Makes `requests` requests, each over a connection of its own, then fetches a page from each server; counts.
    pub(super) fn of(stage: &Stage, requests: u32) -> Result<Self> {
        let mut servers: BTreeMap<String, Seen> = BTreeMap::new();
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
        // One turn of the scheduler comes to every server; of one that is asked again, the last page counts.
        for _ in 0..turn(stage) {
            let (server, sent, received) = fetch_page(stage)?;
            let seen = servers.entry(server).or_default();
            (seen.sent, seen.received) = (sent, received);
        }
        Ok(Self { requests, took, servers })
    }

    /// Whether what was seen is what the demo goes on to explain.
    ///
    /// # Errors
    /// A share is not what the weights give, or replies took another way than their method's.
    pub(super) fn check(&self, stage: &Stage) -> Result<()> {
        let turn = turn(stage);
        for (_, Role { name, method, weight }) in stage.servers() {
            let Seen { answers, sent, received } = self.servers.get(name).copied().unwrap_or_default();
            let whole_turns = u64::from(self.requests / turn * weight);
            let most = whole_turns + u64::from(weight.min(self.requests % turn));
            if !(whole_turns..=most).contains(&answers) {
                bail!(
                    "{name} answered {answers} of {} requests; its weight gives {whole_turns} to {most}",
                    self.requests
                );
            }
            let crossed = if method == "nat" { received >= PAGE } else { received >= PAGE / 4 };
            if sent < PAGE || crossed != (method == "nat") {
                bail!(
                    "{name} sent {sent} bytes with a page of {PAGE} and the director received {received}, which is \
                     wrong for {method}"
                );
            }
        }
        Ok(())
    }
}

/// How many connections a turn of the scheduler has.
fn turn(stage: &Stage) -> u32 {
    stage.servers().map(|(_, role)| role.weight).sum()
}

/// Fetches a page over a connection of its own: who answered, the bytes that it sent and those the director received.
fn fetch_page(stage: &Stage) -> Result<(String, u64, u64)> {
    let hosts = || stage.servers().map(|(host, _)| host);
    let before: Vec<_> = hosts().map(Host::traffic).collect::<Result<_>>()?;
    let director = stage.director().traffic()?;
    let reply = http::get(stage.client(), stage.service(), &stage.page())?;
    let received = (stage.director().traffic()? - director).received;
    let mut machines = hosts().zip(before);
    let server = machines.find(|(host, _)| host.name() == reply.server);
    let (host, before) = server.with_context(|| format!("{} is no server of the demo", reply.server))?;
    Ok((reply.server, (host.traffic()? - before).sent, received))
}
