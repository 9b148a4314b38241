//! Slots of untracked services after a change: they follow it in steps, linger, and settle.

use super::converge::failure;
use super::reconcile::{Moment, Pace, Standing, settle};
use super::writer::Writer;
use crate::api::{Failure, SlotProgress};
use crate::datapath;
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

    /// Does to the slots what the time and the last sweep ask for; then the next ones follow.
    pub(super) fn settle_slots(&mut self) {
        if !self.unsettled {
            return;
        }
        if let Err(failure) = self.age_slots() {
            tracing::error!(error = %failure.message, "slots could not settle");
        }
        if self.held && self.problem.is_none() {
            self.converge();
        }
    }

    fn age_slots(&mut self) -> Result<(), Failure> {
        let kernel = self.datapath.snapshot().map_err(|error| failure(&error))?;
        let now = datapath::uptime_ms().map_err(|error| failure(&error))?;
        let moment = Moment { quarantine: &self.quarantine, pace: Pace::Hold, now };
        let plan = settle(&kernel, &self.sweeper.report.deviating, moment);
        let plan = plan.map_err(|full| super::limits::full(&full))?;
        let standing = Standing::of(&kernel);
        self.owners = standing.owners;
        self.unsettled = standing.unsettled || self.held;
        self.datapath.apply(&plan.writes).map_err(|error| failure(&error))?;
        self.quarantine.add(plan.freed);
        Ok(())
    }
}
