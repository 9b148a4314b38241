//! What somebody else changes under the agent: repaired within seconds, counted, told.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use aya::maps::{Array, HashMap, Map, MapData};
use lb_tests::lab::site::{DEVICE, Family, Site};
use lb_tests::lab::{http, wait_for, wait_until};
use serde_json::Value;

use crate::interfaces::start_agent;
use crate::support::{Balanced, Method::Dr, PORT, socket};

/// Far more than the five seconds between two looks.
const SOON: Duration = Duration::from_secs(20);
/// The state of a server that checks found down.
const DOWN: u64 = 3;

fn pin(balanced: &Balanced, path: &str) -> PathBuf {
    balanced.site.director.directory().join("bpf").join(path)
}

fn map(balanced: &Balanced, name: &str) -> Result<MapData> {
    Ok(MapData::from_pin(pin(balanced, "maps").join(name))?)
}

/// Waits for the next repair; gives its lines.
fn next_repair(balanced: &Balanced, before: u64) -> Result<String> {
    let repaired = || {
        let drift = balanced.lb_json("status").ok()?.get("drift")?.clone();
        let differences = drift.get("differences").map(Value::to_string);
        (drift.get("repairs")?.as_u64()? > before).then_some(differences)?
    };
    wait_for(SOON, "a repair", repaired)
}

/// Halts the agent between two looks, or lets it go on.
fn signal(balanced: &Balanced, agent: u64, name: &str) -> Result<()> {
    balanced.site.director.run(&["kill", &format!("-{name}"), &agent.to_string()])?;
    Ok(())
}

/// The pins are the only way of the next agent to the connections.
#[test]
fn a_map_whose_pin_was_removed_is_pinned_again() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("mappin", 1)?, &[Dr])?;
    balanced.serve(Family::V4, "rr", &[1])?;
    let service = socket(balanced.site.vip(Family::V4), PORT);
    let mut open = http::Connection::open(&balanced.site.client, service)?;
    open.get("/")?;
    let id = map(&balanced, "CONNECTIONS")?.info()?.id();
    for name in ["CONNECTIONS", "SLOTS"] {
        fs::remove_file(pin(&balanced, "maps").join(name))?;
    }
    let lines = next_repair(&balanced, 0)?;
    assert!(lines.contains("CONNECTIONS") && lines.contains("SLOTS"), "{lines}");
    assert_eq!(map(&balanced, "CONNECTIONS")?.info()?.id(), id);
    balanced.kill_agent()?;
    let _agent = start_agent(&balanced)?;
    assert_eq!(open.get("/").context("on the connection from before")?.server, "web1");
    Ok(())
}

#[test]
fn what_a_stranger_writes_into_the_tables_is_undone_and_told() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("drift", 1)?, &[Dr])?;
    balanced.serve(Family::V4, "rr", &[1])?;
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    let kept = balanced.lb_json("status")?;
    assert_eq!(kept.pointer("/drift/repairs"), Some(&0.into()), "the agent's own changes are no drift");

    let mut servers = Array::<_, [u64; 8]>::try_from(Map::Array(map(&balanced, "SERVERS")?))?;
    let mut server = servers.get(&1, 0)?;
    server[1] = server[1] & !0xff | DOWN;
    servers.set(1, server, 0)?;
    let lines = next_repair(&balanced, 0)?;
    assert!(lines.contains("web/web1") && lines.contains("state down -> up"), "{lines}");
    assert_eq!(balanced.curl(Family::V4)?, "web1");

    let mut slots = Array::<_, u64>::try_from(Map::Array(map(&balanced, "SLOTS")?))?;
    (0..8).try_for_each(|slot| slots.set(slot, 0, 0))?;
    let mut settings = Array::<_, [u64; 4]>::try_from(Map::Array(map(&balanced, "SETTINGS")?))?;
    let [first, _, heartbeat, hold] = settings.get(&0, 0)?;
    settings.set(0, [first, 0, heartbeat, hold], 0)?;
    let mut keys = HashMap::<_, [u64; 3], u32>::try_from(Map::HashMap(map(&balanced, "SERVICE_KEYS")?))?;
    let key = keys.keys().next().context("no service has a key")??;
    keys.remove(&key)?;
    let mut index = Array::<_, u64>::try_from(Map::Array(map(&balanced, "SERVICE_INDEX")?))?;
    let words: Vec<u64> = index.iter().collect::<Result<_, _>>()?;
    for (place, _) in (0..).zip(words).filter(|(_, word)| *word != 0) {
        index.set(place, 0, 0)?;
    }
    let lines = next_repair(&balanced, 1)?;
    let vip = balanced.site.vip(Family::V4);
    let wanted =
        [&format!("{vip}:80/tcp"), "which server gets which connections", "answers per second 0 -> 1000"];
    for words in wanted {
        assert!(lines.contains(words), "{words}: {lines}");
    }
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    assert_eq!(balanced.lb_json("diff")?, Value::Array(Vec::new()));

    let status = balanced.site.director.lb("status")?;
    assert!(status.contains("drift: 2 repairs, the last at "), "{status}");
    assert!(status.contains("within the last hour somebody else changed"), "{status}");
    let events = balanced.site.director.lb("events --no-follow")?;
    assert_eq!(events.matches("warn  drift     somebody else changed").count(), 2, "{events}");
    Ok(())
}

#[test]
fn a_link_and_a_vip_that_somebody_takes_away_come_back() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("links", 1)?, &[Dr])?;
    balanced.serve(Family::V4, "rr", &[1])?;
    let agent = balanced.agent()?;
    signal(&balanced, agent, "STOP")?;
    fs::remove_file(pin(&balanced, "links").join(DEVICE))?;
    // The kernel lets go of a link a moment after its last reference is gone.
    wait_until(SOON, "the end of forwarding", || balanced.curl(Family::V4).is_err())?;
    signal(&balanced, agent, "CONT")?;
    let lines = next_repair(&balanced, 0)?;
    assert!(lines.contains(DEVICE) && lines.contains("whose link was removed"), "{lines}");
    assert_eq!(balanced.curl(Family::V4)?, "web1");

    let vip = balanced.site.vip(Family::V4);
    balanced.site.director.ip(&format!("address del {vip}/32 dev {DEVICE}"))?;
    let lines = next_repair(&balanced, 1)?;
    assert!(lines.contains(&format!("put back on {DEVICE}")), "{lines}");
    assert!(balanced.site.director.ip("address")?.contains(&vip.to_string()));
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    Ok(())
}
