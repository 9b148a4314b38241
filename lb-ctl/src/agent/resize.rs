//! The kernel's tables follow the limits of the configuration.

use super::converge::failure;
use super::limits;
use super::time;
use super::writer::Writer;
use crate::api::{Failure, Warning};
use crate::config::limits::Limits;
use crate::datapath::tables::Capacities;
use std::time::Instant;

impl Writer {
    /// The sizes that the tables have and those that `wanted` gives them; `None` if they are the same.
    ///
    /// # Errors
    ///
    /// What is in use does not fit.
    pub(super) fn sizes(&self, wanted: &Limits) -> Result<Option<(Capacities, Capacities)>, Failure> {
        let kernel = self.datapath.snapshot().map_err(|error| failure(&error))?;
        let (before, after) = (kernel.capacities, wanted.capacities());
        if before == after {
            return Ok(None);
        }
        let mut connections = 0;
        if after.connections < before.connections {
            let counted = self.datapath.for_each_connection(|_, _| connections += 1);
            counted.map_err(|error| failure(&error))?;
        }
        limits::check(wanted, &kernel, &self.quarantine, connections)?;
        Ok(Some((before, after)))
    }

    /// Gives the tables the sizes that `wanted` wants; the sizes before, if that changed anything.
    ///
    /// # Errors
    ///
    /// What is in use does not fit, or the kernel has not the memory: everything is as it was.
    pub(super) fn resize(&mut self, wanted: &Limits) -> Result<Option<Capacities>, Failure> {
        let Some((before, after)) = self.sizes(wanted)? else { return Ok(None) };
        self.resize_to(&after)?;
        Ok(Some(before))
    }

    /// Takes a change of sizes back, when what it was made for cannot be kept.
    pub(super) fn resize_back(&mut self, before: Option<Capacities>) {
        if let Some(before) = before
            && let Err(failure) = self.resize_to(&before)
        {
            tracing::error!(%failure, "could not give the tables their sizes back");
        }
    }

    /// Gives the tables the sizes of the stored limits: a new agent may find others.
    pub(super) fn resize_to_stored(&mut self) {
        if let Err(failure) = self.resize(&self.stored.config.limits.clone()) {
            tracing::error!(%failure, "the tables have not the sizes of the configuration");
        }
    }

    fn resize_to(&mut self, capacities: &Capacities) -> Result<(), Failure> {
        let began = Instant::now();
        let mut watch =
            |step| tracing::debug!(?step, after = ?began.elapsed(), "changing the sizes of tables");
        let rebuilt = self.datapath.resize(capacities, &mut watch);
        let rebuilt = rebuilt.map_err(|error| failure(&error))?;
        tracing::info!(
            maps = rebuilt.maps,
            flows = rebuilt.flows,
            late = rebuilt.late,
            hold = ?rebuilt.hold,
            took = ?began.elapsed(),
            "the tables have other sizes"
        );
        if let Some(log) = self.datapath.take_log() {
            tokio::spawn(super::follow_log(log));
        }
        Ok(())
    }

    /// That the tables have other sizes than the configuration wants, if so.
    pub(super) fn size_warning(&self, has: &Capacities) -> Option<Warning> {
        let limits = &self.stored.config.limits;
        if limits.capacities() == *has {
            return None;
        }
        Some(Warning {
            message: "the tables have not the sizes that the configuration limits them to".to_owned(),
            hint: Some("`lb-ctl limits set` tries again and says why; the agent's log does too".to_owned()),
        })
    }

    /// Notes in the pins that an agent is there.
    pub(super) fn beat(&self) {
        if let Err(error) = self.datapath.beat(time::now()) {
            tracing::warn!(%error, "could not note that the agent runs");
        }
    }
}
