//! Just enough tracking: many flows, a service whose servers change all the time, and nobody leaves a server that may
//! keep its connections.
//!
//! The flows are frames of a raw socket; each comes back addressed to the server that it was forwarded to. A plain map of
//! flow to first server is the oracle.

mod flows;
mod load;
mod site;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lb_tests::full;
use lb_tests::lab::wait_for;
use lb_tests::random::Random;

use flows::Flows;
use load::Load;
use site::Pool;

/// The idle timeout of the service.
const IDLE: Duration = Duration::from_secs(5);
/// A sweep, or two, and what else takes a moment.
const SLACK: Duration = Duration::from_secs(4);

/// How much is done.
struct Amount {
    flows: u32,
    changes: u32,
    /// Longest time between two changes, in milliseconds; the shortest is 10.
    pause: f64,
}

#[test]
fn no_flow_of_5_000_leaves_its_server_in_30_changes() -> Result<()> {
    live("track", &Amount { flows: 5_000, changes: 30, pause: 1_500.0 })
}

#[test]
fn no_flow_of_100_000_leaves_its_server_in_200_changes() -> Result<()> {
    if full::is_asked_for("100,000 flows and 200 changes of an untracked service")? {
        live("tracklong", &Amount { flows: 100_000, changes: 200, pause: 10_000.0 })?;
    }
    Ok(())
}

fn live(name: &str, amount: &Amount) -> Result<()> {
    let mut random = Random::new();
    println!("{}", random.how_to_repeat());
    let mut pool = Pool::new(name)?;
    let flows = Arc::new(Flows::new(amount.flows));
    let load = Load::start(&pool, &flows)?;
    let all = wait_for(Duration::from_secs(30), "every flow to have a server", || flows.all_have_a_server());
    all.with_context(|| pool.balanced.site.director.lb("stats").unwrap_or_default())?;
    let mut agents = Vec::new();
    for change in 1..=amount.changes {
        if [amount.changes / 3, amount.changes * 2 / 3].contains(&change) {
            agents.push(pool.kill_and_start_the_agent()?);
        }
        pool.change(&mut random, &flows.dead)?;
        // Short pauses are as likely as long ones.
        let share = f64::from(random.within(0..1_000)) / 1_000.0;
        thread::sleep(Duration::from_secs_f64((amount.pause / 10.0).powf(share) * 0.01));
        flows.check()?;
    }
    pool.end_with_slots()?;
    let changed = Instant::now();
    pool.wait_until_slots_follow()?;
    let only_deviating = || (pool.remembered().ok()? <= pool.deviating(&flows).ok()?).then_some(());
    wait_for(2 * IDLE + SLACK, "the table to hold no more than what deviates", only_deviating).with_context(
        || format!("{:?} are there, {:?} deviate", pool.remembered().ok(), pool.deviating(&flows).ok()),
    )?;
    let took = changed.elapsed();
    flows.check()?;
    println!(
        "{} changes, {} flows: {} packets, {} connections, {} resets, {} deviate {:.1} s after the last change",
        amount.changes,
        amount.flows,
        flows.packets(),
        flows.connections(),
        flows.resets(),
        pool.remembered()?,
        took.as_secs_f64(),
    );
    ensure!(flows.packets() > u64::from(amount.flows) * 3, "too few packets came back");
    load.stop()?;
    let ended = Instant::now();
    let at_rest = || (pool.remembered().ok()? == 0 && pool.is_settled().ok()?).then_some(());
    wait_for(2 * IDLE + SLACK, "an empty table and slots that have settled", at_rest).with_context(|| {
        pool.described().unwrap_or_default()
            + &agents.last().map(|agent| agent.log().unwrap_or_default()).unwrap_or_default()
    })?;
    println!("empty and settled {:.1} s after the last packet", ended.elapsed().as_secs_f64());
    Ok(())
}
