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

    /// Gives the tables the sizes that `wanted` wants.
    ///
    /// # Errors
    ///
    /// What is in use does not fit, or the kernel has not the memory: everything is as it was.
    pub(super) fn resize(&mut self, wanted: &Limits) -> Result<(), Failure> {
        self.sizes(wanted)?.map_or(Ok(()), |(_, after)| self.resize_to(&after))
    }

    /// Gives the tables the sizes of the stored limits: a new agent may find others, and a change may have been taken
    /// back. What cannot be done now is tried again.
    pub(super) fn resize_to_stored(&mut self) {
        let resized = self.resize(&self.stored.config.limits.clone());
        if let (Err(failure), false) = (&resized, self.wrong_sizes) {
            tracing::error!(%failure, "the tables have not the sizes of the configuration");
        }
        self.wrong_sizes = resized.is_err();
    }

    /// Ends an exchange of tables that failed halfway. The tables may be others then.
    ///
    /// # Errors
    ///
    /// It fails again.
    pub(super) fn settle_tables(&mut self) -> Result<(), Failure> {
        if self.datapath.is_settled() {
            return Ok(());
        }
        self.datapath.settle().map_err(|error| failure(&error))?;
        tracing::info!("an exchange of tables that had failed halfway is settled");
        self.follow_log();
        self.converge();
        Ok(())
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
        self.follow_log();
        Ok(())
    }

    /// Follows the log of a program that was loaded anew.
    fn follow_log(&mut self) {
        if let Some(log) = self.datapath.take_log() {
            tokio::spawn(super::follow_log(log));
        }
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
