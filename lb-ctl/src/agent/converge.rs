//! Makes the kernel, the interfaces and the VIPs follow what is stored and what was observed.

use super::compile::compile;
use super::names::Names;
use super::plan::Plan;
use super::state::{Desired, Observed};
use super::vips;
use super::writer::Writer;
use crate::api::Failure;
use crate::datapath::tables::Write;
use crate::datapath::{self, AttachMode, Attached};
use std::net::IpAddr;

impl Writer {
    /// Makes the kernel equal to what is stored. What fails is shown by `status` and tried again at the next tick.
    pub(super) fn converge(&mut self) {
        let desired = self.desired();
        let done = self.plan(&desired, &self.observed.clone()).and_then(|plan| self.write(&desired, plan));
        self.note_problem(done.err());
    }

    /// What is stored, as it is compiled.
    pub(super) fn desired(&self) -> Desired {
        Desired { config: self.stored.config.clone(), intent: self.stored.intent.clone() }
    }

    /// What has to be written for `desired`. When a table has no room, a grace period may make some.
    pub(super) fn plan(&mut self, desired: &Desired, observed: &Observed) -> Result<Plan, Failure> {
        self.compare(desired, observed, self.pace()).map(|comparison| comparison.plan)
    }

    /// Writes `plan`, which makes the kernel equal to `desired`.
    pub(super) fn write(&mut self, desired: &Desired, plan: Plan) -> Result<(), Failure> {
        tracing::debug!(writes = plan.writes.len(), "writing to the kernel");
        let applied = self.datapath.apply(&plan.writes);
        if applied.is_err()
            && let Err(error) = self.datapath.apply(&plan.revive)
        {
            tracing::error!(%error, "servers that a failed change took away stay gone");
        }
        let kernel = self.datapath.snapshot();
        self.quarantine.add(match (&applied, &kernel) {
            // What the kernel names still was not freed: a server would lose its connections.
            (Err(_), Ok(kernel)) => plan.freed.unnamed_in(kernel),
            _ => plan.freed,
        });
        self.unsettled |= plan.writes.iter().any(Write::moves_slots);
        self.held = plan.held;
        applied.map_err(|error| failure(&error))?;
        let kernel = kernel.map_err(|error| failure(&error))?;
        self.names = Names::new(compile(desired, &self.observed), &kernel);
        Ok(())
    }

    /// Whether an interface has the program in generic mode; what was known before if that cannot be read.
    pub(super) fn has_generic(&self) -> bool {
        let is_generic = |(_, attached): &(String, Attached)| attached.mode == AttachMode::Generic;
        self.datapath.attachments().map_or(self.observed.generic, |all| all.iter().any(is_generic))
    }

    /// Writes what depends on the modes of attached interfaces, when those have changed.
    pub(super) fn follow_modes(&mut self) {
        let generic = self.has_generic();
        if generic != self.observed.generic {
            self.observed.generic = generic;
            self.converge();
        }
    }

    /// Takes VIPs off interfaces and puts them on; announces the new ones, and all of them if `again`.
    ///
    /// What is about to be put on is stored in between, so that no crash leaves an address that nobody takes off. What
    /// cannot be stored is not put on; `status` tells it, and it is tried again.
    pub(super) async fn place_vips(&mut self, again: bool) {
        let moves = vips::moves(&self.stored.config, &self.stored.placed, &self.observed);
        let lost = self.lost_vips(&moves);
        let there = vips::take_off(&self.network, &moves, &self.stored.placed, &self.observed).await;
        let (intended, add) = vips::intended(&there, moves.add);
        let mut announced = vips::Placed::new();
        self.unplaced = match self.remember_placed(intended.clone()) {
            Ok(()) => {
                let missing = vips::put_on(&self.network, add.clone(), &self.observed).await;
                let is_there = |vip: &IpAddr| !missing.contains_key(vip) || there.contains_key(vip);
                let placed = intended.into_iter().filter(|(vip, _)| is_there(vip)).collect();
                announced.extend(add.into_iter().filter(|(vip, _)| !missing.contains_key(vip)));
                self.remember_placed(placed).err().or_else(|| {
                    let stuck = moves.remove.into_iter().filter(|(vip, _)| there.contains_key(vip)).collect();
                    vips::unplaced(&missing, &stuck)
                })
            }
            Err(failure) => {
                self.stored.placed = there;
                Some(failure)
            }
        };
        self.note_vips(lost);
        let present = vips::present(&self.stored.config, &self.observed);
        self.conflicts.follow(&present, &self.observed);
        let mut told = if again { present } else { vips::Placed::new() };
        // One that has just moved was observed where it was.
        told.extend(announced);
        vips::tell(&told, &self.observed);
        self.tell_what_changed();
    }

    fn remember_placed(&mut self, placed: vips::Placed) -> Result<(), Failure> {
        if placed == self.stored.placed && self.unplaced.is_none() {
            return Ok(());
        }
        self.stored.placed = placed;
        self.store.save(&self.stored).map_err(|error| {
            tracing::error!(%error, "could not store where the VIPs are");
            Failure::failed(format!("cannot store where the VIPs are: {error}"))
                .with_hint("VIPs are put on an interface when that can be stored; the agent tries again")
        })
    }
}

/// What the operator reads of a failure of the datapath.
pub(super) fn failure(error: &datapath::DatapathError) -> Failure {
    let failure = Failure::failed(error.to_string());
    match error.hint() {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}
