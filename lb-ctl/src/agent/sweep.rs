//! The sweep: forgets idle connections, counts the others, and frees what only they kept.

use super::writer::Writer;
use crate::datapath::{self, SweepReport};
use std::time::{Duration, Instant};

/// What is done again and again may take one part in this many of a processor's time.
pub(super) const SHARE: u32 = 20;

/// When to sweep, and what the last sweep found.
#[derive(Debug, Default)]
pub(super) struct Sweeper {
    pub(super) report: SweepReport,
    next: Option<Instant>,
}

impl Sweeper {
    /// Has the next sweep come as soon as it can.
    pub(super) const fn come_soon(&mut self) {
        self.next = None;
    }
}

impl Writer {
    /// Ends the quarantine of what waited for a grace period; then sweeps, if it is time.
    pub(super) fn sweep(&mut self) {
        let waiting = self.quarantine.servers.clone();
        if (self.quarantine.waits_for_grace() || !waiting.is_empty()) && !self.pass_grace() {
            return;
        }
        let began = Instant::now();
        if self.sweeper.next.is_some_and(|next| began < next) {
            return;
        }
        let before = datapath::processor_time();
        let swept = datapath::now_ms().and_then(|now| self.datapath.sweep(now));
        let took = datapath::processor_time().saturating_sub(before);
        let again = swept.as_ref().map_or(took, |report| again(took, report));
        tracing::debug!(?took, ?again, "swept the connections");
        self.sweeper.next = Some(began + (again * SHARE).min(Duration::from_mins(1)));
        match swept {
            Ok(report) => {
                self.sweeper.report = report;
                self.settle_slots();
                let (report, owners) = (&self.sweeper.report, &self.owners);
                let is_owner = |id| owners.iter().any(|owner| owner.id() == id);
                self.quarantine.swept(&waiting, |id| report.named.contains_key(&id) || is_owner(id));
                self.let_go();
            }
            Err(error) => tracing::error!(%error, "could not sweep the connections"),
        }
    }

    fn pass_grace(&mut self) -> bool {
        match datapath::grace() {
            Ok(()) => self.quarantine.grace_passed(),
            Err(error) => {
                tracing::error!(%error, "could not wait for packets under way");
                return false;
            }
        }
        true
    }
}

/// What the next sweep will take, when this one took `took`: there are only the entries left.
fn again(took: Duration, report: &SweepReport) -> Duration {
    let left = report.total + report.half_open;
    let all = left + report.swept;
    if all == 0 { took } else { took.mul_f64(share(left, all)) }
}

#[expect(clippy::cast_precision_loss, reason = "a share of entries, of which there are fewer than 2^52")]
fn share(part: u64, all: u64) -> f64 {
    part as f64 / all as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_of_what_is_left_takes_its_part() {
        let of = |total, half_open, swept| {
            again(Duration::from_secs(1), &SweepReport { swept, total, half_open, ..SweepReport::default() })
        };
        let rows = [((0, 0, 0), 1_000), ((0, 0, 500), 0), ((100, 0, 300), 250), ((50, 50, 0), 1_000)];
        for ((total, half_open, swept), want) in rows {
            assert_eq!(
                of(total, half_open, swept),
                Duration::from_millis(want),
                "{total} {half_open} {swept}"
            );
        }
    }
}
