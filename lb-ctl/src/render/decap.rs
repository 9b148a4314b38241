//! The decapsulation program of a server.

use super::status::mode_word;
use super::style;
use super::table::{Table, number, text};
use crate::api::{DecapStatus, Warning};
use std::path::Path;

/// What it does on this host.
pub fn status(status: &DecapStatus) -> String {
    let told: String = status.warnings.iter().map(warning).collect();
    if status.interfaces.is_empty() {
        return "not attached; `lb-ctl decap attach INTERFACE --vip ADDRESS` starts it\n".to_owned() + &told;
    }
    let mut interfaces = Table::new(["Interface", "State", "After a reboot"]);
    for interface in &status.interfaces {
        let state = match interface.attached {
            Some(mode) => text(format!("attached, {}", mode_word(mode))).styled(style::GOOD),
            None => text("not attached").styled(style::ERROR),
        };
        let later = if interface.persistent { "attached again" } else { "not attached" };
        interfaces.row([text(&interface.name), state, text(later)]);
    }
    let mut reasons = Table::new(["Verdict", "Reason", "Packets", "Bytes", "Meaning"]);
    for reason in &status.reasons {
        let counts = [number(reason.packets), number(reason.bytes)];
        let words = [text(&reason.verdict), text(&reason.reason)];
        reasons.row(words.into_iter().chain(counts).chain([text(&reason.description)]).collect::<Vec<_>>());
    }
    let list = |addresses: &[std::net::IpAddr]| {
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    format!(
        "{}{}\nVIPs: {}\ntunnels end at: {}\n\n{}{told}",
        interfaces.finish(),
        status.supervisor.map(|pid| format!("supervised by pid {pid}\n")).unwrap_or_default(),
        list(&status.vips),
        list(&status.addresses),
        reasons.finish()
    )
}

/// How to find and stop the process that was started.
pub fn started(pid: u32, log: &Path, interface: &str) -> String {
    format!(
        "started the supervision: pid {pid}, log {}\n`kill {pid}` stops it, decapsulation goes on; `lb-ctl decap detach {interface}` ends decapsulation\n",
        log.display()
    )
}

fn warning(warning: &Warning) -> String {
    let hint = warning.hint.as_deref().map(style::hint).unwrap_or_default();
    format!("\n{}{hint}", style::warning(&warning.message))
}
