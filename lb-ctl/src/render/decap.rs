//! The decapsulation program of a server.

use super::status::mode_word;
use super::style;
use super::table::{Table, number, text};
use crate::api::DecapStatus;

/// What it does on this host.
pub fn status(status: &DecapStatus) -> String {
    if status.interfaces.is_empty() {
        return "not attached; `lb-ctl decap attach INTERFACE --vip ADDRESS` starts it\n".to_owned();
    }
    let mut interfaces = Table::new(["Interface", "State"]);
    for interface in &status.interfaces {
        let state = format!("attached, {}", mode_word(interface.attached));
        interfaces.row([text(&interface.name), text(state).styled(style::GOOD)]);
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
        "{}\nVIPs: {}\ntunnels end at: {}\n\n{}",
        interfaces.finish(),
        list(&status.vips),
        list(&status.addresses),
        reasons.finish()
    )
}
