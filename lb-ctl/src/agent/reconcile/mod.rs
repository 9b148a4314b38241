//! From the tables that should be and those that the kernel holds to the writes that make them equal.
//!
//! Pure. It compares with what was read back from the kernel, never with memory, and keeps every id that can be kept:
//! a service is the one that its keys lead to, a server the one of the same service, address, port and method.

mod devices;
mod index;
mod servers;
mod services;
mod settle;
mod slots;
#[cfg(test)]
mod tests;
mod views;

pub use index::with_index;
pub use settle::{Standing, settle};

use super::ids::{Full, Quarantine};
use super::plan::{Draft, Plan, Stage};
use super::tables::Tables;
use crate::datapath::tables::{Kernel, Write};
use lb_common::counters::Settings;
use lb_common::maps::SCHEMA_VERSION;

/// How fast the slots of an untracked service follow a change. Those of a dead server never wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// All of them at once.
    Whole,
    /// A part of them.
    Step,
    /// None: others are still under way.
    Hold,
}

impl Pace {
    /// A step is this part of the slots of a service.
    const PART: usize = 16;
    /// It is no less than this.
    const LEAST: usize = 256;

    fn steps(self, slots: usize) -> usize {
        match self {
            Self::Whole => slots,
            Self::Step => (slots / Self::PART).max(Self::LEAST),
            Self::Hold => 0,
        }
    }
}

/// What a change must mind besides the tables.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// What may not be given out.
    pub quarantine: &'a Quarantine,
    /// How fast slots follow.
    pub pace: Pace,
    /// Milliseconds of a clock that is never set.
    pub now: u64,
}

/// The writes that turn `kernel` into `tables` without a packet that sees a service without servers, or a slot without one.
///
/// Running it again on the result gives no writes, unless slots were held back.
///
/// # Errors
///
/// [`Full`] if a table has no room; nothing has been written then.
pub fn reconcile(tables: &Tables, kernel: &Kernel, moment: Moment<'_>) -> Result<Plan, Full> {
    let quarantine = moment.quarantine;
    let mut draft = Draft::default();
    settings(tables, kernel, &mut draft);
    let devices = devices::reconcile(tables, kernel, quarantine, &mut draft)?;
    let hosts = servers::hosts(tables, kernel, quarantine, &mut draft)?;
    let ids = services::assign(tables, kernel, quarantine)?;
    let places = servers::Places { devices: &devices, hosts: &hosts, services: &ids };
    let references = servers::reconcile(tables, kernel, quarantine, (&places, &mut draft))?;
    views::reconcile(tables, kernel, moment, (&ids, &references, &mut draft))?;
    services::remove(tables, kernel, &ids, &mut draft);
    let plan = draft.finish();
    Ok(Plan { writes: with_index(plan.writes, kernel), ..plan })
}

/// Features are switched on before anything else, and off after everything else.
fn settings(tables: &Tables, kernel: &Kernel, draft: &mut Draft) {
    let wanted = Settings {
        schema: SCHEMA_VERSION,
        flags: tables.flags,
        sample_period: tables.sample_period,
        answers_per_second: tables.answers_per_second,
        // The rest is written when it happens, and is nothing that the configuration could want.
        ..kernel.settings
    };
    let meanwhile = Settings { flags: wanted.flags | kernel.settings.flags, ..wanted };
    if meanwhile != kernel.settings {
        draft.push(Stage::FeaturesOn, Write::Settings(meanwhile));
    }
    if wanted != meanwhile {
        draft.push(Stage::FeaturesOff, Write::Settings(wanted));
    }
}
