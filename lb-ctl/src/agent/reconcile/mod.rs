//! From the tables that should be and those that the kernel holds to the writes that make them equal.
//!
//! Pure. It compares with what was read back from the kernel, never with memory, and keeps every id that can be kept:
//! a service is the one that its keys lead to, a server the one of the same service, address, port and method.

mod devices;
mod servers;
mod services;
#[cfg(test)]
mod tests;
mod views;

use super::ids::{Full, Quarantine};
use super::plan::{Draft, Plan, Stage};
use super::tables::Tables;
use crate::datapath::tables::{Kernel, Write};
use lb_common::counters::Settings;
use lb_common::maps::SCHEMA_VERSION;

/// The writes that turn `kernel` into `tables` without a packet that sees a service without servers, or a slot without one.
///
/// What is in `quarantine` is not given out. Running it again on the result gives no writes.
///
/// # Errors
///
/// [`Full`] if a table has no room; nothing has been written then.
pub fn reconcile(tables: &Tables, kernel: &Kernel, quarantine: &Quarantine) -> Result<Plan, Full> {
    let mut draft = Draft::default();
    settings(tables, kernel, &mut draft);
    let devices = devices::reconcile(tables, kernel, quarantine, &mut draft)?;
    let hosts = servers::hosts(tables, kernel, quarantine, &mut draft)?;
    let ids = services::assign(tables, kernel, quarantine)?;
    let places = servers::Places { devices: &devices, hosts: &hosts, services: &ids };
    let references = servers::reconcile(tables, kernel, quarantine, (&places, &mut draft))?;
    views::reconcile(tables, kernel, quarantine, (&ids, &references, &mut draft))?;
    services::remove(tables, kernel, &ids, &mut draft);
    Ok(draft.finish())
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
