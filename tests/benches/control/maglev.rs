//! Filling the slots of `mh`, at the sizes that the agent takes for so many servers.

use std::time::Instant;

use anyhow::{Result, ensure};
use lb_common::address::Address;
use lb_common::scheduler::{Member, Scheduler};
use lb_common::server::ServerRef;
use lb_tests::measure::{self, Sink};

const ROUNDS: usize = 15;

/// 10, 100 and 1,000 servers of equal weight.
pub(crate) fn rows(wanted: &dyn Fn(&str) -> bool, rows: Sink<'_>) -> Result<()> {
    for servers in [10_u32, 100, 1_000] {
        let name = format!("maglev-fill-{servers}");
        if !wanted(&name) {
            continue;
        }
        let members: Vec<Member> = (1..=servers).map(member).collect();
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let slots = Scheduler::Mh.fill(&members);
            rounds.push(began.elapsed().as_secs_f64() * 1e3);
            ensure!(!slots.is_empty(), "{name}: no slots");
        }
        rows(measure::row(&name, "ms", rounds)?)?;
    }
    Ok(())
}

fn member(number: u32) -> Member {
    let [_, _, high, low] = number.to_be_bytes();
    Member {
        server: ServerRef::new(number, 0),
        weight: 1,
        address: Address::from_v4([10, 0, high, low]),
        port: 0,
    }
}
