//! An agent that is started for good, and the one that `attach` started before it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use lb_tests::lab::site::{Family, Site};
use lb_tests::lab::{http, wait_until};

use crate::refusals::is_one_error;
use crate::support::{Balanced, Method::Dr, PORT, socket};

/// Neither a packet nor a request is lost: what was confirmed is there, what was refused is not.
#[test]
fn an_agent_takes_over_from_the_one_that_attach_started() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("takeover", 2)?, &[Dr, Dr])?;
    balanced.serve(Family::V4, "rr", &[1, 1])?;
    let (director, service) = (&balanced.site.director, socket(balanced.site.vip(Family::V4), PORT));
    let first = balanced.agent()?;
    let (over, answers, changes) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let ask = || -> Result<()> {
        let mut connection = http::Connection::open(&balanced.site.client, service)?;
        while !over.load(Relaxed) {
            connection.get("/")?;
            http::get(&balanced.site.client, service, "/")?;
            answers.fetch_add(1, Relaxed);
        }
        Ok(())
    };
    let change = || -> Result<Vec<(String, bool)>> {
        let mut told = Vec::new();
        while !over.load(Relaxed) {
            let name = format!("pool-{}", told.len());
            let output = director.lb_ctl_output(&["pool", "add", &name])?;
            told.push((name, output.status.success()));
            changes.fetch_add(1, Relaxed);
        }
        Ok(told)
    };
    let more = |counter: &AtomicUsize, count| {
        let before = counter.load(Relaxed);
        wait_until(Duration::from_secs(20), "answers", || counter.load(Relaxed) >= before + count)
    };
    let (agent, told) = thread::scope(|scope| -> Result<_> {
        let (asking, changing) = (scope.spawn(ask), scope.spawn(change));
        let went = || -> Result<_> {
            more(&changes, 3)?;
            let agent = director.spawn("agent", &[&lb_ctl()?, "agent"])?;
            let runs = || balanced.agent().is_ok_and(|pid| pid == u64::from(agent.pid()));
            wait_until(Duration::from_secs(20), "the new agent", runs)?;
            more(&changes, 3)?;
            more(&answers, 10)?;
            Ok(agent)
        };
        let agent = went();
        over.store(true, Relaxed);
        let asked = asking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let told = changing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        asked?;
        Ok((agent?, told?))
    })?;
    ensure!(std::fs::metadata(format!("/proc/{first}/exe")).is_err(), "the first agent runs on");
    ensure!(agent.log()?.contains("taking over"), "{}", agent.log()?);
    let pools = balanced.lb_json("pool list")?.to_string();
    for (name, confirmed) in &told {
        assert_eq!(pools.contains(&format!("\"{name}\"")), *confirmed, "{name}: {pools}");
    }
    Ok(())
}

#[test]
fn an_agent_that_was_started_for_good_is_left_alone() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("for-good", 1)?, &[Dr])?;
    let director = &balanced.site.director;
    let agent = director.spawn("agent", &[&lb_ctl()?, "agent"])?;
    let pid = u64::from(agent.pid());
    let runs = || balanced.agent().is_ok_and(|running| running == pid);
    wait_until(Duration::from_secs(20), "the agent", runs)?;
    for detached in [false, true] {
        let start = if detached { "LB_DETACHED=1 $0 agent; exit $?" } else { "exec $0 agent" };
        let output = director.output(&["sh", "-c", start, &lb_ctl()?])?;
        is_one_error("a second agent", &output, &["another agent", &format!("pid {pid}"), "director/state"])?;
    }
    ensure!(runs(), "it was ended");
    Ok(())
}

fn lb_ctl() -> Result<String> {
    Ok(lb_tests::lab::lb_ctl::binary()?.to_string_lossy().into_owned())
}
