//! What a change came to, what would change, what was started.

use super::status::attached_words;
use super::style;
use crate::api::{Changed, Cut, Failure, UpgradeOutcome};
use crate::config::diff::{Difference, Kind};
use std::path::Path;

/// What a change came to.
pub fn changed(changed: &Changed) -> String {
    lines(&changed.differences) + &outcome(changed)
}

/// The same, where the differences were told before.
pub fn outcome(changed: &Changed) -> String {
    let outcome = match &changed.interface {
        Some(interface) => format!("{}\n", attached_words(interface)),
        None if changed.differences.is_empty() => "nothing to change: it is so already\n".to_owned(),
        None => String::new(),
    };
    let notes = changed.notes.iter().map(|note| style::labelled(style::HINT, "note", note));
    let revision = if makes_a_revision(changed) {
        format!("revision {}{}\n", changed.revision, cut_words(&changed.cuts))
    } else {
        String::new()
    };
    [outcome].into_iter().chain(notes).chain([revision]).collect()
}

/// What would change, and what that would cut.
pub fn plan(plan: &Changed) -> String {
    let cut = |cut: &Cut| {
        let text = format!("service {}, server {}: {}", cut.service, cut.server, counted(cut.connections));
        style::labelled(style::ERROR, "cuts", &text)
    };
    let cuts: String = plan.cuts.iter().map(cut).collect();
    let none = if plan.cuts.is_empty() { "no live connection is cut\n" } else { "" };
    differences(&plan.differences) + &cuts + none
}

/// What is asked on a terminal.
pub fn question(refused: &Failure) -> String {
    let effect = refused.message.strip_prefix("not done: ").unwrap_or(&refused.message);
    format!("{}{effect}.{:#} Do it? [y/N] ", style::WARNING, style::WARNING)
}

/// Orders and servers that leave are beside the configuration.
fn makes_a_revision(changed: &Changed) -> bool {
    changed.differences.iter().any(|difference| !["order", "leaving"].contains(&difference.object.as_str()))
}

fn cut_words(cuts: &[Cut]) -> String {
    let uncounted = cuts.iter().any(|cut| cut.connections.is_none());
    match cuts.iter().filter_map(|cut| cut.connections).sum() {
        0 if uncounted => ", live connections cut that are not counted".to_owned(),
        0 => String::new(),
        cut => format!(", {}{} cut", connections(cut), if uncounted { " and others" } else { "" }),
    }
}

fn counted(number: Option<u64>) -> String {
    number.map_or_else(|| "live connections, not counted: the service is not tracked".to_owned(), connections)
}

fn connections(number: u64) -> String {
    format!("{number} live connection{}", if number == 1 { "" } else { "s" })
}

/// What differs.
pub fn differences(differences: &[Difference]) -> String {
    if differences.is_empty() { "no difference\n".to_owned() } else { lines(differences) }
}

/// How to find and stop the agent that was started.
pub fn started(pid: u32, log: &Path, interface: &str) -> String {
    format!(
        "started the agent: pid {pid}, log {}\n`kill {pid}` stops it, forwarding goes on; `lb-ctl detach {interface}` stops forwarding\n",
        log.display()
    )
}

/// How to stop the unit that was started, and what makes it start with the machine.
pub fn started_unit(enabled: bool, interface: &str) -> String {
    let started = format!(
        "started lb-agent.service; `systemctl stop lb-agent` stops the agent, forwarding goes on; `lb-ctl detach {interface}` stops forwarding\n"
    );
    let advice = "`systemctl enable lb-agent` starts it after a reboot as well";
    if enabled { started } else { started + &style::labelled(style::HINT, "note", advice) }
}

/// What an upgrade came to.
pub fn upgraded(outcome: &UpgradeOutcome) -> String {
    match outcome {
        UpgradeOutcome::Current => {
            "nothing to upgrade: the program and its tables are this version's\n".to_owned()
        }
        UpgradeOutcome::Replaced { interfaces } => {
            format!("replaced the program on {}; the tables are as they were\n", interfaces.join(", "))
        }
        UpgradeOutcome::Migrated { from, to, interfaces, .. } => {
            let on = if interfaces.is_empty() { "no interface".to_owned() } else { interfaces.join(", ") };
            format!("migrated the tables from schema {from} to {to}, and replaced the program on {on}\n")
        }
    }
}

fn lines(differences: &[Difference]) -> String {
    differences.iter().map(line).collect()
}

fn line(difference: &Difference) -> String {
    let Difference { change, object, name, detail } = difference;
    let style = match change {
        Kind::Added => style::GOOD,
        Kind::Changed => style::WARNING,
        Kind::Removed => style::ERROR,
    };
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    let name = if name.is_empty() { String::new() } else { format!(" {name}") };
    format!("{style}{}{style:#} {object}{name}{detail}\n", change.sign())
}
