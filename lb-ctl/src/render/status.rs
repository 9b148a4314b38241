//! How the agent and its interfaces are.

use super::change::differences;
use super::list::order_words;
use super::number::utc;
use super::style;
use super::table::{Table, number, text};
use crate::api::{
    AttachedMode, Drift, InterfaceState, InterfaceStatus, SlotProgress, Status, TableUse, Warning,
};
use crate::config::intent::{Order, ServerName};
use crate::store::Revision;

/// Warnings that are shown at most.
const SHOWN: usize = 10;

/// The whole status.
pub fn status(status: &Status) -> String {
    let Status { services, servers, servers_up, .. } = status;
    let counts = format!("services: {services}, servers: {servers_up} of {servers} up\n");
    let mut parts =
        vec![supervision(status), counts, revision(status), "\n".to_owned(), interfaces(&status.interfaces)];
    if !status.tables.is_empty() {
        parts.extend(["\n".to_owned(), tables(&status.tables)]);
    }
    parts.extend(status.slots.and_then(slots));
    parts.push(orders(status));
    parts.extend(status.drift.as_ref().map(drift));
    parts.push(warnings(&status.warnings));
    parts.concat()
}

fn revision(status: &Status) -> String {
    let Some(revision) = status.revision.as_ref().filter(|revision| revision.number > 0) else {
        return String::new();
    };
    let Revision { number, time, by, command, .. } = revision;
    format!("revision: {number}, {}, by {}: {command}\n", utc(*time), by.user)
}

/// What a change still has to do; nothing once it is done.
fn slots(progress: SlotProgress) -> Option<String> {
    let text = match progress {
        SlotProgress::Following => "following the last change, step by step",
        SlotProgress::Settling => {
            "settling after a change: flows that it found are remembered until they end"
        }
        SlotProgress::Settled => return None,
    };
    Some(format!("\nslots: {text}\n"))
}

/// What the operator ordered beside the configuration: it is what people forget.
fn orders(status: &Status) -> String {
    if status.orders.is_empty() {
        return String::new();
    }
    let line = |(name, order): (&ServerName, &Order)| {
        style::labelled(style::HINT, "order", &format!("{name} {}", order_words(order)))
    };
    let more = status.orders.len().saturating_sub(SHOWN);
    let rest = if more == 0 { String::new() } else { format!("and {more} more: `lb-ctl server list`\n") };
    "\n".to_owned() + &status.orders.iter().take(SHOWN).map(line).collect::<String>() + &rest
}

/// That no interface is attached, if so.
pub fn unattached(status: &Status) -> String {
    if status.interfaces.iter().any(|interface| interface.state == InterfaceState::Attached) {
        return String::new();
    }
    style::warning("no interface is attached: nothing is forwarded")
        + &style::hint("`lb-ctl attach INTERFACE` starts forwarding")
}

/// The first ones; a hint is told once, below the last warning in a row that has it.
fn warnings(warnings: &[Warning]) -> String {
    let shown = warnings.get(..SHOWN).unwrap_or(warnings);
    let mut out = String::new();
    let next = shown.iter().skip(1).map(Some).chain([None]);
    for (warning, next) in shown.iter().zip(next) {
        let hint = warning.hint.as_deref();
        out.push('\n');
        out += &style::warning(&warning.message);
        if hint != next.and_then(|next| next.hint.as_deref()) {
            out += &hint.map(style::hint).unwrap_or_default();
        }
    }
    match warnings.len() - shown.len() {
        0 => out,
        more => out + &format!("\nand {more} more: `lb-ctl server list`, `lb-ctl status --json`\n"),
    }
}

/// What was repaired, if anything was.
fn drift(drift: &Drift) -> String {
    let Some(last) = drift.last else { return String::new() };
    let lines = differences(&drift.differences);
    let times = if drift.repairs == 1 { "repair".to_owned() } else { format!("{} repairs", drift.repairs) };
    format!("\ndrift: {times}, the last at {}\n{lines}", utc(last))
}

/// Use and limit of each table.
pub fn tables(tables: &[TableUse]) -> String {
    let mut table = Table::new(["Table", "Used", "Limit"]);
    for entry in tables {
        table.row([text(&entry.table), number(entry.used), number(entry.limit)]);
    }
    table.finish()
}

fn supervision(status: &Status) -> String {
    let forwards = status.interfaces.iter().any(|interface| interface.state == InterfaceState::Attached);
    let since = status.unsupervised_since.map(|since| format!(" since {}", utc(since))).unwrap_or_default();
    match &status.agent {
        Some(agent) => {
            let (pid, version, since) = (agent.pid, &agent.version, utc(agent.since));
            format!(
                "agent: {}running{:#}, pid {pid}, version {version}, since {since}\n",
                style::GOOD,
                style::GOOD
            )
        }
        None if status.silent_agent.is_some() => {
            let pid = status.silent_agent.unwrap_or_default();
            format!(
                "agent: {}pid {pid} does not answer, not supervised{since}{:#}\n",
                style::ERROR,
                style::ERROR
            )
        }
        None if forwards => {
            format!(
                "agent: {}not running; forwarding, not supervised{since}{:#}\n",
                style::WARNING,
                style::WARNING
            )
        }
        None => format!("agent: {}not running, not forwarding{:#}\n", style::WARNING, style::WARNING),
    }
}

fn interfaces(interfaces: &[InterfaceStatus]) -> String {
    if interfaces.is_empty() {
        return "no interface is attached; `lb-ctl attach INTERFACE` starts forwarding\n".to_owned();
    }
    let mut table = Table::new(["Interface", "Mode", "State"]);
    for interface in interfaces {
        let state = match (interface.state, interface.attached) {
            (InterfaceState::Attached, Some(mode)) => {
                text(format!("attached, {}", mode_word(mode))).styled(style::GOOD)
            }
            (InterfaceState::Attached, None) => text("attached").styled(style::GOOD),
            (InterfaceState::Detached, _) => text("not attached").styled(style::ERROR),
            (InterfaceState::Missing, _) => text("no such interface").styled(style::ERROR),
        };
        table.row([text(&interface.name), text(interface.mode), state]);
    }
    table.finish()
}

/// One sentence about an interface that was just attached.
pub(super) fn attached_words(interface: &InterfaceStatus) -> String {
    let name = &interface.name;
    match interface.attached {
        Some(mode) => format!("attached to {name}, {} mode", mode_word(mode)),
        None => format!("{name} is recorded and not attached yet"),
    }
}

/// The word for how the kernel runs the program.
pub(super) const fn mode_word(mode: AttachedMode) -> &'static str {
    match mode {
        AttachedMode::Native => "native",
        AttachedMode::Generic => "generic",
    }
}
