//! Measuring one path: rounds of packets, and the proof that each packet went that way.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use lb_common::verdict::Reason;
use lb_ctl::datapath::Datapath;
use lb_tests::packet::describe;
use lb_tests::program::Action;

use crate::harness::{Harness, Packets};

/// Rounds of a row, each time that it is visited.
pub(crate) const ROUNDS: u32 = 15;
/// Packets of a round.
pub(crate) const PACKETS: u32 = 1 << 16;
/// How often a round is measured again because the thread lost its CPU meanwhile.
const AGAIN: u32 = 3;

/// Packets by reason.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// What a path is measured with.
#[derive(Clone, Copy)]
pub(crate) struct Path<'p> {
    pub(crate) packets: &'p Packets,
    /// One of them is what a packet of flow 0 leaves as; anything if there are none.
    pub(crate) expected: &'p [Vec<u8>],
    pub(crate) action: Action,
    pub(crate) reason: Reason,
}

/// A path that is being measured: the number of its next packet, and how many there were.
pub(crate) struct Walk<'p> {
    path: Path<'p>,
    next: u32,
    ran: u64,
}

impl<'p> Walk<'p> {
    /// Checks one packet, then warms up by a round. Flows that no cache holds stay cold, and most of them were renewed
    /// less than a second ago, as in a table of that many that is in use.
    pub(crate) fn begin(harness: &mut Harness, name: &str, path: Path<'p>) -> Result<Self> {
        let Path { packets, expected, action, .. } = path;
        let one = harness.run(packets, 0, 1)?;
        ensure!(one.action == action, "{name}: {:?}, wanted {action:?}", one.action);
        ensure!(
            expected.is_empty() || expected.contains(&one.frame),
            "{name}: this left:\n{}\nwanted, or the like:\n{}",
            describe(&one.frame),
            expected.first().map(|frame| describe(frame)).unwrap_or_default()
        );
        let mut walk = Self { path, next: packets.flows + 1, ran: 1 };
        walk.run(harness, PACKETS)?;
        Ok(walk)
    }

    /// Nanoseconds a packet of one round, measured again if the thread lost its CPU to another one.
    pub(crate) fn round(&mut self, harness: &mut Harness) -> Result<f64> {
        for _ in 0..AGAIN {
            let ran = self.run(harness, PACKETS)?;
            if !ran.disturbed {
                return Ok(nanoseconds(ran.took));
            }
        }
        Ok(nanoseconds(self.run(harness, PACKETS)?.took))
    }

    /// Fails unless all packets were counted as this path's, and no other was counted.
    pub(crate) fn check(&self, name: &str, before: Counts, after: Counts) -> Result<()> {
        let mut moved = after;
        for (reason, packets) in before {
            moved.entry(reason).and_modify(|now| *now -= packets);
        }
        moved.retain(|_, packets| *packets > 0);
        let wanted = BTreeMap::from([(self.path.reason.word(), self.ran)]);
        ensure!(moved == wanted, "{name}: these counters moved: {moved:?}, wanted {wanted:?}");
        Ok(())
    }

    fn run(&mut self, harness: &mut Harness, packets: u32) -> Result<crate::harness::Ran> {
        let ran = harness.run(self.path.packets, self.next, packets)?;
        self.next = self.next.wrapping_add(packets);
        self.ran += u64::from(packets);
        Ok(ran)
    }
}

/// What is done with the rounds of a row.
pub(crate) type Take<'t> = &'t mut dyn FnMut(&str, Vec<f64>) -> Result<()>;

/// Measures the row `name`; `counts` gives the counters of the program that the harness has.
pub(crate) fn rounds(
    harness: &mut Harness,
    name: &str,
    path: Path<'_>,
    counts: &dyn Fn() -> Result<Counts>,
) -> Result<Vec<f64>> {
    let before = counts()?;
    let mut walk = Walk::begin(harness, name, path)?;
    let rounds = (0..ROUNDS).map(|_| walk.round(harness)).collect::<Result<_>>()?;
    walk.check(name, before, counts()?)?;
    Ok(rounds)
}

/// The director's counters.
pub(crate) fn counts(datapath: &Datapath) -> Result<Counts> {
    let mut counts = BTreeMap::new();
    for (reason, _, count) in datapath.counted()?.reasons {
        *counts.entry(reason.word()).or_default() += count.packets;
    }
    Ok(counts)
}

fn nanoseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e9 / f64::from(PACKETS)
}
