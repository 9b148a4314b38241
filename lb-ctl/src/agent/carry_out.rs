//! A change that was found possible is made; what fails on the way takes back what was done before it.

use super::interfaces::Undo;
use super::plan::Plan;
use super::state::{Desired, Observed};
use super::writer::Writer;
use crate::api::{ChangeRequest, Changed, Failure};
use crate::config::intent::Mark;
use crate::store::{Attaching, Prepared, Stored};

/// A change that was found possible.
pub(super) struct Judged {
    pub(super) desired: Desired,
    pub(super) observed: Observed,
    pub(super) plan: Plan,
    /// What it comes to, before it is made.
    pub(super) outcome: Changed,
}

impl Writer {
    /// Writes the store beside its place, makes room, attaches, puts the store in force, writes the tables, in this order;
    /// what fails takes back what was done before it. A full disk fails first.
    pub(super) async fn carry_out(
        &mut self,
        Judged { desired, observed, plan, outcome }: Judged,
        request: &ChangeRequest,
        mark: &Mark,
    ) -> Result<(), Failure> {
        let next = Stored {
            revision: if desired.config == self.stored.config {
                self.stored.revision.clone()
            } else {
                self.next_revision(request, mark)
            },
            config: desired.config.clone(),
            intent: desired.intent.clone(),
            placed: self.stored.placed.clone(),
        };
        let prepared = self.prepare(&next)?;
        let attaching = self.note_attaching(&desired.config)?;
        self.resize(&desired.config.limits)?;
        let switched = self.switch_interfaces(&desired.config);
        let switched = switched.inspect_err(|_| self.resize_to_stored())?;
        if let Err(error) = prepared.map_or(Ok(()), |prepared| self.store.put_in_force(prepared)) {
            self.undo(switched, attaching);
            self.resize_to_stored();
            return Err(error.into());
        }
        let before = std::mem::replace(&mut self.stored, next);
        self.observe_as(observed).await;
        if let Err(failure) = self.write(&desired, plan) {
            let failure = self.take_back(before, (switched, attaching), failure);
            self.tell_failure(&failure, self.origin(request, mark));
            return Err(failure);
        }
        drop(attaching);
        self.tell_change(&outcome.differences, self.origin(request, mark));
        self.note_problem(None);
        self.place_vips(false).await;
        self.follow_modes();
        Ok(())
    }

    /// Writes `next` beside the store, as a revision if the configuration differs; nothing if it is so already.
    fn prepare(&self, next: &Stored) -> Result<Option<Prepared>, Failure> {
        if *next == self.stored {
            return Ok(None);
        }
        Ok(Some(self.store.prepare(next, next.revision != self.stored.revision)?))
    }

    /// Takes back what was done to interfaces; where that fails, the note of it stays for the next agent.
    fn undo(&mut self, switched: Vec<Undo>, attaching: Attaching) {
        if !self.switch_back(switched) {
            attaching.keep();
        }
    }

    /// Makes `before` the truth again, because the kernel refused a write on the way to what came after it.
    fn take_back(
        &mut self,
        before: Stored,
        (switched, attaching): (Vec<Undo>, Attaching),
        failure: Failure,
    ) -> Failure {
        if let Err(error) = self.store.take_back(&before, self.stored.revision.number) {
            tracing::error!(%error, "could not take back a revision");
            self.note_problem(Some(failure.clone()));
            let message = format!("stored, but not in force: {}", failure.message);
            return Failure { message, ..failure }
                .with_hint("the agent tries again every second; `lb-ctl status` says how it stands");
        }
        self.stored = before;
        self.undo(switched, attaching);
        self.converge();
        // What was written already may be in the part that goes.
        self.resize_to_stored();
        let number = self.stored.revision.number;
        let message = format!("{}; taken back: revision {number} is in force", failure.message);
        match &self.problem {
            None => Failure { message, ..failure },
            Some(_) => Failure { message, ..failure }.with_hint(
                "the kernel's tables are not as they should be yet; `lb-ctl status` says how it stands",
            ),
        }
    }
}
