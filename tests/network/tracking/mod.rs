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
/// Sweeps: after each the agent rests twenty times as long as it took, and this one may not be optimised, nor alone.
const SLACK: Duration = Duration::from_secs(8);

/// How much is done.
struct Amount {
    flows: u32,
    changes: u32,
    /// Longest time between two changes, in milliseconds; the shortest is 10.
    pause: f64,
}

#[test]
fn no_flow_of_5_000_leaves_its_server_in_30_changes() -> Result<()> {
    println!("{}", live("track", &Amount { flows: 5_000, changes: 30, pause: 1_500.0 })?);
    Ok(())
}

#[test]
fn no_flow_of_100_000_leaves_its_server_in_200_changes() -> Result<()> {
    if full::is_asked_for("100,000 flows and 200 changes of an untracked service")? {
        println!("{}", live("tracklong", &Amount { flows: 100_000, changes: 200, pause: 10_000.0 })?);
    }
    Ok(())
}

/// What was measured; a failure tells what led to it.
fn live(name: &str, amount: &Amount) -> Result<String> {
    let mut random = Random::new();
    let repeated = random.how_to_repeat();
    let mut pool = Pool::new(name)?;
    let flows = Arc::new(Flows::new(amount.flows));
    let load = Load::start(&pool, &flows)?;
    let changed = change(&mut pool, &flows, (amount, &mut random)).and_then(|()| rest(&pool, &flows, load));
    changed
        .with_context(|| format!("{repeated}\n{}\n{}", pool.history(), pool.described().unwrap_or_default()))
}

/// Makes the changes.
fn change(pool: &mut Pool, flows: &Flows, (amount, random): (&Amount, &mut Random)) -> Result<()> {
    wait_for(Duration::from_mins(1), "every flow to have a server", || flows.all_have_a_server())?;
    for change in 1..=amount.changes {
        if [amount.changes / 3, amount.changes * 2 / 3].contains(&change) {
            pool.kill_and_start_the_agent()?;
        }
        pool.change(random, &flows.dead)?;
        // Short pauses are as likely as long ones.
        let share = f64::from(random.within(0..1_000)) / 1_000.0;
        thread::park_timeout(Duration::from_secs_f64((amount.pause / 10.0).powf(share) * 0.01));
        flows.check()?;
    }
    pool.end_with_slots()
}

/// Waits until only flows that deviate are remembered; then ends the flows, and waits until nothing is.
fn rest(pool: &Pool, flows: &Flows, load: Load) -> Result<String> {
    let changed = Instant::now();
    pool.wait_until_slots_follow()?;
    let only_deviating = || (pool.remembered().ok()? <= pool.deviating(flows).ok()?).then_some(());
    wait_for(2 * IDLE + SLACK, "the table to hold no more than what deviates", only_deviating)?;
    let (remembered, took) = (pool.remembered()?, changed.elapsed());
    flows.check()?;
    ensure!(flows.packets() > flows.connections() * 3, "too few packets came back");
    load.stop()?;
    let ended = Instant::now();
    let at_rest = || (pool.remembered().ok()? == 0 && pool.is_settled().ok()?).then_some(());
    wait_for(2 * IDLE + SLACK, "an empty table and slots that have settled", at_rest)?;
    Ok(format!(
        "{} packets of {} connections, {} resets; {remembered} deviated {:.1} s after the last change; empty and settled \
         {:.1} s after the last packet",
        flows.packets(),
        flows.connections(),
        flows.resets(),
        took.as_secs_f64(),
        ended.elapsed().as_secs_f64()
    ))
}
