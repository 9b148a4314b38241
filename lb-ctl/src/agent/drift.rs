//! Drift: what somebody else changed in the kernel's tables, at the links or on the interfaces. It is repaired and told.
//!
//! Whatever differs from what the agent itself wrote last is drift. A change of the configuration or of the network is
//! none: it is followed first.

use super::compile::compile;
use super::journal::News;
use super::plan::Plan;
use super::reconcile::{Moment, Pace, reconcile};
use super::state::{Desired, Observed};
use super::sweep::SHARE;
use super::tables::Tables;
use super::vips::{Moves, Placed};
use super::writer::Writer;
use crate::api::{self, EventKind, Failure, InterfaceState, Level, Warning};
use crate::config::diff::{Difference, Kind};
use crate::config::model::Interface;
use crate::datapath::{self, tables::Kernel};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time between two looks, at least and at most.
const PERIOD: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(1));
/// How long `status` warns after a repair.
const WARNED: Duration = Duration::from_hours(1);
/// Differences of the last repair that are kept.
const KEPT: usize = 10;

/// What was repaired, and when to look again.
#[derive(Debug, Default)]
pub(super) struct Drift {
    told: api::Drift,
    last: Option<Instant>,
    next: Option<Instant>,
    /// Where each VIP that the agent put there was seen, on an interface that was up.
    vips: BTreeMap<IpAddr, u32>,
}

/// The kernel's tables against those that should be.
pub(super) struct Comparison {
    pub(super) plan: Plan,
    pub(super) kernel: Kernel,
    pub(super) tables: Tables,
}

impl Writer {
    /// Looks for drift, if it is time and the tables were as they should be.
    pub(super) async fn look_for_drift(&mut self) {
        let began = Instant::now();
        if self.problem.is_some() || self.drift.next.is_some_and(|next| began < next) {
            return;
        }
        let before = datapath::processor_time();
        match self.found() {
            Ok(found) if found.is_empty() => {}
            // The network may have changed, and the kernel with it, before its notice came here.
            Ok(_) if self.follow_network().await => {}
            Ok(_) => self.repair(),
            Err(error) => self.note_problem(Some(error)),
        }
        let took = datapath::processor_time().saturating_sub(before);
        tracing::debug!(?took, "looked for drift");
        let (least, most) = PERIOD;
        self.drift.next = Some(began + (took * SHARE).clamp(least, most));
    }

    /// What the agent did not do.
    fn found(&mut self) -> Result<Vec<Difference>, Failure> {
        let mut found = self.kernel_differences()?;
        found.extend(self.strange_links().into_iter().map(|(_, difference)| difference));
        found.extend(self.datapath.lost_pins().unwrap_or_default().into_iter().map(lost_pin));
        Ok(found)
    }

    fn repair(&mut self) {
        let desired = self.desired();
        let repaired =
            self.compare(&desired, &self.observed.clone(), self.drift_pace()).and_then(|comparison| {
                let Comparison { plan, kernel, tables } = comparison;
                let words = self.words_of(&kernel, &plan.writes, &tables);
                self.write(&desired, plan).map(|()| words)
            });
        match repaired {
            Ok(mut differences) => {
                differences.extend(self.repair_links());
                differences.extend(self.repair_pins());
                self.note_drift(differences);
            }
            Err(failure) => self.note_problem(Some(failure)),
        }
        self.tell_what_changed();
    }

    /// The kernel's tables against those for `desired`. When a table has no room, a grace period may make some.
    pub(super) fn compare(
        &mut self,
        desired: &Desired,
        observed: &Observed,
        pace: Pace,
    ) -> Result<Comparison, Failure> {
        let mut tables = compile(desired, observed);
        tables.sample_period = self.sampling.period();
        let mut kernel = self.datapath.snapshot().map_err(|error| super::converge::failure(&error))?;
        self.watch_tables(&kernel);
        if desired.config.limits != self.stored.config.limits {
            // The tables get these sizes before the writes.
            kernel.capacities = desired.config.limits.capacities();
        }
        let now = datapath::uptime_ms().map_err(|error| super::converge::failure(&error))?;
        let mut plan = reconcile(&tables, &kernel, Moment { quarantine: &self.quarantine, pace, now });
        if plan.is_err() && self.quarantine.waits_for_grace() {
            datapath::grace().map_err(|error| super::converge::failure(&error))?;
            self.quarantine.grace_passed();
            plan = reconcile(&tables, &kernel, Moment { quarantine: &self.quarantine, pace, now });
        }
        let plan = plan.map_err(|full| super::limits::full(&full))?;
        Ok(Comparison { plan, kernel, tables })
    }

    /// Configured interfaces that are there and had our program, and have none or another now.
    fn strange_links(&self) -> Vec<(Interface, Difference)> {
        let replaced = self.datapath.replaced().unwrap_or_default();
        let strange = |interface: &&Interface| {
            let state = self.interface_status(interface).map(|status| status.state);
            let detail = match state {
                Ok(InterfaceState::Attached) if replaced.contains(&interface.name) => {
                    "its program, which another one had replaced"
                }
                Ok(InterfaceState::Detached) => "its program, whose link was removed",
                Ok(InterfaceState::Attached | InterfaceState::Missing) | Err(_) => return None,
            };
            let difference = difference(Kind::Added, "interface", &interface.name, detail);
            Some(((*interface).clone(), difference))
        };
        let retried = |interface: &&Interface| !self.unattached.contains_key(&interface.name);
        self.stored
            .config
            .interfaces
            .iter()
            .filter(retried)
            .filter_map(|interface| strange(&interface))
            .collect()
    }

    fn repair_pins(&self) -> Vec<Difference> {
        let lost = self.datapath.lost_pins().unwrap_or_default();
        let repaired = lost.into_iter().filter(|name| match self.datapath.pin_again(name) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "a map without its pin would be lost to the next agent");
                false
            }
        });
        repaired.map(lost_pin).collect()
    }

    fn repair_links(&mut self) -> Vec<Difference> {
        let mut repaired = Vec::new();
        for (interface, difference) in self.strange_links() {
            match self.datapath.attach(&interface.name, interface.mode) {
                Ok(_) => repaired.push(difference),
                Err(error) => {
                    self.unattached.insert(interface.name, super::converge::failure(&error));
                }
            }
        }
        self.follow_modes();
        repaired
    }

    /// VIPs that are to be put back where they were, on an interface that stayed: somebody took them off.
    pub(super) fn lost_vips(&self, moves: &Moves) -> Placed {
        let seen = |(vip, name): &(&IpAddr, &String)| {
            let was_there = self.stored.placed.get(*vip) == Some(*name);
            let link = self.observed.link(name).filter(|(_, link)| link.running && was_there);
            link.is_some_and(|(index, _)| self.drift.vips.get(*vip) == Some(&index))
        };
        moves.add.iter().filter(seen).map(|(vip, name)| (*vip, name.clone())).collect()
    }

    /// Counts and tells `lost` VIPs that are back, and notes where all are.
    pub(super) fn note_vips(&mut self, lost: Placed) {
        let is_back = |(vip, name): &(IpAddr, String)| self.stored.placed.get(vip) == Some(name);
        let words = |(vip, name): (IpAddr, String)| {
            difference(Kind::Added, "vip", &vip.to_string(), &format!("put back on {name}"))
        };
        let back: Vec<Difference> = lost.into_iter().filter(is_back).map(words).collect();
        self.note_drift(back);
        let running = |(vip, name): (&IpAddr, &String)| {
            let (index, link) = self.observed.link(name)?;
            link.running.then_some((*vip, index))
        };
        self.drift.vips = self.stored.placed.iter().filter_map(running).collect();
    }

    fn note_drift(&mut self, differences: Vec<Difference>) {
        if differences.is_empty() {
            return;
        }
        let text = "somebody else changed what the kernel forwards by; repaired";
        let news = News::new(Level::Warn, EventKind::Drift, "", text);
        self.journal.record(news.with_lines(differences.iter().map(ToString::to_string)));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.drift.last = Some(Instant::now());
        self.drift.told = api::Drift {
            repairs: self.drift.told.repairs.saturating_add(1),
            last: Some(now.as_secs()),
            differences: differences.into_iter().take(KEPT).collect(),
        };
    }
}

impl Drift {
    /// What `status` tells.
    pub(super) fn told(&self) -> api::Drift {
        self.told.clone()
    }

    /// A warning, for an hour after the last repair.
    pub(super) fn warning(&self) -> Option<Warning> {
        self.last.filter(|last| last.elapsed() < WARNED)?;
        Some(Warning {
            message:
                "within the last hour somebody else changed what the kernel forwards by; it was repaired"
                    .to_owned(),
            hint: Some(
                "`lb-ctl events` shows what and when; who else writes to the pinned maps and links?"
                    .to_owned(),
            ),
        })
    }
}

fn lost_pin(name: &str) -> Difference {
    difference(Kind::Added, "pin", name, "the map's name, which the next agent finds it by")
}

fn difference(change: Kind, object: &str, name: &str, detail: &str) -> Difference {
    let (object, name, detail) = (object.to_owned(), name.to_owned(), detail.to_owned());
    Difference { change, object, name, detail }
}
