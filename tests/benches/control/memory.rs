//! Memory: of the agent, and of the maps as the kernel counts it.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _};

use anyhow::{Context as _, Result};
use aya::maps::MapData;
use lb_common::maps::{DIRECTOR_MAPS, MAX_CONNECTIONS, MAX_SERVERS, MAX_SERVICES};
use lb_tests::measure::{self, Sink};

use crate::agent::Agent;

/// The rows of an agent that has just started.
pub(crate) const START: [&str; 5] = [
    "agent-memory",
    "map-memory-start",
    "map-memory-per-service",
    "map-memory-per-server",
    "map-memory-per-connection",
];

/// The maps with an element, or several, for each service, server and connection.
const OF_SERVICES: [&str; 5] = ["SERVICE_KEYS", "SERVICES", "VIEWS", "SEQUENCE", "SERVICE_COUNTERS"];
const OF_SERVERS: [&str; 3] = ["SERVERS", "SERVER_COUNTERS", "NAT_HOSTS"];
const OF_CONNECTIONS: [&str; 1] = ["CONNECTIONS"];

/// An agent without services, and its maps in their usual sizes.
pub(crate) fn start(agent: &Agent, rows: Sink<'_>) -> Result<()> {
    let of = |names: &[&str]| names.iter().map(|name| bytes(agent, name)).sum::<Result<f64>>();
    let [memory, all, service, server, connection] = START;
    rows(measure::row(memory, "MB", vec![agent.resident()?])?)?;
    rows(measure::row(all, "MB", vec![of(&DIRECTOR_MAPS)? / f64::from(1 << 20)])?)?;
    for (name, maps, entries) in [
        (service, OF_SERVICES.as_slice(), MAX_SERVICES),
        (server, OF_SERVERS.as_slice(), MAX_SERVERS),
        (connection, OF_CONNECTIONS.as_slice(), MAX_CONNECTIONS),
    ] {
        rows(measure::row(name, "B", vec![of(maps)? / f64::from(entries)])?)?;
    }
    Ok(())
}

/// What the kernel counts for a pinned map.
fn bytes(agent: &Agent, name: &str) -> Result<f64> {
    let path = agent.bpffs().join("maps").join(name);
    let map = MapData::from_pin(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let path = format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd());
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("memlock:"));
    line.and_then(|line| line.trim().parse().ok()).with_context(|| format!("no memlock of {name}: {text}"))
}
