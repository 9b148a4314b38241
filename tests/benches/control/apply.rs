//! `lb-ctl apply` of many services, and the agent's memory with them.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::Result;
use lb_tests::measure::{self, Sink};

use crate::agent::{Agent, SERVERS, pool, service};

/// Its rows.
pub(crate) const ROWS: [&str; 2] = ["apply-1000x100", "agent-memory-1000x100"];

const SERVICES: u16 = 1_000;
const ROUNDS: usize = 3;

/// 1,000 services with a pool of 100 servers each, into empty tables, three times.
pub(crate) fn rows(agent: &Agent, rows: Sink<'_>) -> Result<()> {
    let [apply, memory] = ROWS;
    let limits = format!("[limits]\nservers = {}\n", u32::from(SERVICES) * u32::from(SERVERS) * 2);
    let mut text = limits.clone();
    for number in 0..SERVICES {
        let name = format!("s{number}");
        write!(text, "{}{}", service(&name, 1_000 + number, "wrr"), pool(&name))?;
    }
    let (empty, many) = (agent.file("empty.toml", &limits)?, agent.file("many.toml", &text)?);
    let (mut rounds, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        agent.lb(&format!("apply {empty} --allow-empty --yes --now"))?;
        let began = Instant::now();
        agent.lb(&format!("apply {many} --yes"))?;
        rounds.push(began.elapsed().as_secs_f64() * 1e3);
        resident.push(agent.resident()?);
    }
    rows(measure::row(apply, "ms", rounds)?)?;
    rows(measure::row(memory, "MB", resident)?)
}
