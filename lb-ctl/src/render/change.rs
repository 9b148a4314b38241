//! What a change came to, what would change, what was started.

use super::status::attached_words;
use super::style;
use crate::api::Changed;
use crate::config::diff::{Difference, Kind};
use std::path::Path;

/// What a change came to.
pub fn changed(changed: &Changed) -> String {
    let outcome = match &changed.interface {
        Some(interface) => format!("{}\n", attached_words(interface)),
        None if changed.differences.is_empty() => "nothing to change: it is so already\n".to_owned(),
        None => String::new(),
    };
    let notes = changed.notes.iter().map(|note| style::labelled(style::HINT, "note", note));
    [lines(&changed.differences), outcome].into_iter().chain(notes).collect()
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
    format!("{style}{}{style:#} {object} {name}{detail}\n", change.sign())
}
