//! Slots of untracked services after a change: they follow it in steps, linger, and settle.

use super::converge::failure;
use super::reconcile::{Moment, Pace, Standing, settle};
use super::writer::Writer;
use crate::api::{Failure, SlotProgress};
use crate::datapath;
use std::collections::BTreeSet;
use std::time::Duration;

/// Time between two steps.
const STEP: Duration = Duration::from_millis(100);
/// Slots wait while more than this part of the table of connections is in use: each that moves has its flows remembered.
const FULL_PERCENT: u64 = 70;

/// Ends when the next step is due.
pub(super) async fn step_due() {
    tokio::time::sleep(STEP).await;
}

impl Writer {
    /// How fast slots may follow a change.
    pub(super) fn pace(&self) -> Pace {
        let report = &self.sweeper.report;
        let room = u64::from(report.limit) * FULL_PERCENT / 100;
        if report.total <= room { Pace::Step } else { Pace::Hold }
    }

    /// How slots are judged that somebody else may have changed: while some wait for their turn, that one is none.
    pub(super) const fn drift_pace(&self) -> Pace {
        if self.held { Pace::Hold } else { Pace::Whole }
    }

    /// How far slots are with the last change.
    pub(super) const fn slot_progress(&self) -> SlotProgress {
        match (self.held, self.unsettled) {
            (true, _) => SlotProgress::Following,
            (false, true) => SlotProgress::Settling,
            (false, false) => SlotProgress::Settled,
        }
    }

    /// Does to the slots what the last sweep asks for; then the next ones follow.
    pub(super) fn settle_slots(&mut self) {
        let deviating = std::mem::take(&mut self.sweeper.report.deviating);
        self.age_slots(Some(&deviating));
        if self.held && self.problem.is_none() {
            self.converge();
        }
    }

    /// Does to the slots what the time asks for, and a sweep if one has just found `deviating` slots.
    pub(super) fn age_slots(&mut self, deviating: Option<&BTreeSet<u32>>) {
        if !self.unsettled {
            return;
        }
        match self.try_to_age_slots(deviating) {
            // What rests now needs fewer entries: the next sweep takes them away.
            Ok(true) if deviating.is_none() => self.sweeper.come_soon(),
            Ok(_) => {}
            Err(failure) => tracing::error!(error = %failure.message, "slots could not settle"),
        }
    }

    /// Whether something changed.
    fn try_to_age_slots(&mut self, deviating: Option<&BTreeSet<u32>>) -> Result<bool, Failure> {
        let kernel = self.datapath.snapshot().map_err(|error| failure(&error))?;
        let now = datapath::uptime_ms().map_err(|error| failure(&error))?;
        let moment = Moment { quarantine: &self.quarantine, pace: Pace::Hold, now };
        let plan = settle(&kernel, deviating, moment).map_err(|full| super::limits::full(&full))?;
        let standing = Standing::of(&kernel);
        self.owners = standing.owners;
        self.unsettled = standing.unsettled || self.held;
        self.datapath.apply(&plan.writes).map_err(|error| failure(&error))?;
        self.quarantine.add(plan.freed);
        Ok(!plan.writes.is_empty())
    }
}
