//! What the operator is told: events as they happen, across the end of an agent.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::lab::site::{DEVICE, Family, Site};
use lb_tests::lab::{ChildGuard, wait_until};
use serde_json::Value;

use crate::continuity::{answer_arp, lb_ctl};
use crate::support::{Balanced, Method::Dr};

const SOON: Duration = Duration::from_secs(20);

/// The events that a follower has written so far.
fn events(follower: &ChildGuard) -> Result<Vec<Value>> {
    let log = follower.log()?;
    let objects = log.lines().filter(|line| line.starts_with('{'));
    objects.map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// Waits until the follower has an event of this kind and subject whose text, or a line below it, holds `words`.
fn wait_for_event(follower: &ChildGuard, kind: &str, subject: &str, words: &str) -> Result<()> {
    let text = |event: &Value, key: &str| event.get(key).map(Value::to_string).unwrap_or_default();
    let is_it = |event: &Value| {
        text(event, "kind") == format!("\"{kind}\"")
            && text(event, "subject") == format!("\"{subject}\"")
            && [text(event, "text"), text(event, "lines")].concat().contains(words)
    };
    let what = format!("an event {kind} of {subject:?} with {words:?}");
    wait_until(SOON, &what, || events(follower).is_ok_and(|events| events.iter().any(is_it)))
        .with_context(|| follower.log().unwrap_or_default())
}

#[test]
fn a_follower_is_told_what_happens_and_goes_on_with_the_next_agent() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("events", 1)?, &[Dr])?;
    let (director, server) = (&balanced.site.director, &balanced.site.servers[0]);
    let follower = director.spawn("events", &[&lb_ctl()?, "events", "--json"])?;
    wait_for_event(&follower, "start", "", "the agent runs")?;
    wait_for_event(&follower, "interface", DEVICE, "attached, native mode")?;

    balanced.serve(Family::V4, "rr", &[1])?;
    wait_for_event(&follower, "change", "", "+ server web/web1: address")?;
    let vip = balanced.site.vip(Family::V4);
    wait_for_event(&follower, "vip", &vip.to_string(), &format!("put on {DEVICE}"))?;
    balanced.lb("server set web web1 --weight 7")?;
    wait_for_event(&follower, "change", "", "weight 1 -> 7")?;

    answer_arp(&server.host, false)?;
    let address = server.address(Family::V4);
    director.ip(&format!("neighbour del {address} dev {DEVICE}"))?;
    wait_for_event(&follower, "server", "web/web1", "up -> unreachable")?;
    answer_arp(&server.host, true)?;
    wait_for_event(&follower, "server", "web/web1", "unreachable -> up")?;

    director.run(&["kill", &balanced.agent()?.to_string()])?;
    wait_for_event(&follower, "stop", "", "forwarding goes on")?;
    wait_until(SOON, "the follower's note", || {
        follower.log().is_ok_and(|log| log.contains("the agent stopped; waiting for the next one"))
    })?;
    let before = events(&follower)?.len();
    let _agent = director.spawn("agent", &[&lb_ctl()?, "agent"])?;
    wait_until(SOON, "the next agent's start", || {
        events(&follower).is_ok_and(|events| {
            events.iter().skip(before).any(|event| event.get("kind") == Some(&"start".into()))
        })
    })?;
    let numbers: Vec<u64> =
        events(&follower)?.iter().filter_map(|event| event.get("sequence")?.as_u64()).collect();
    ensure!(numbers.is_sorted_by(|one, next| one < next), "numbers do not grow: {numbers:?}");
    let shown = director.lb("events --no-follow")?;
    assert!(shown.contains("info  start     the agent runs"), "{shown}");
    Ok(())
}
