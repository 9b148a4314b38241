//! What happened: a line an event, and below it what differs.

use super::number::utc;
use super::style;
use crate::api::{Event, Level};

/// One event.
pub fn event(event: &Event) -> String {
    let style = match event.level {
        Level::Error => style::ERROR,
        Level::Warn => style::WARNING,
        Level::Info => style::PLAIN,
    };
    let (level, kind) = (event.level.word(), event.kind.word());
    let subject = if event.subject.is_empty() { String::new() } else { format!("{}: ", event.subject) };
    let time = utc(event.time_ms / 1_000);
    let head = format!("{time} {style}{level:<5}{style:#} {kind:<9} {subject}{}", event.text);
    let hint = event.hint.as_ref().map(|hint| format!("    {}hint:{:#} {hint}\n", style::HINT, style::HINT));
    let lines = event.lines.iter().map(|line| format!("    {line}\n"));
    std::iter::once(format!("{head}{}\n", origin(event))).chain(lines).chain(hint).collect()
}

/// ` (revision 12, root: lb-ctl apply lb.toml)`, as far as it is known.
fn origin(event: &Event) -> String {
    let origin = &event.origin;
    let revision = origin.revision.map(|number| format!("revision {number}"));
    let user = origin.user.clone().or_else(|| origin.uid.map(|uid| format!("uid {uid}")));
    let who = match (user, &origin.command) {
        (Some(user), Some(command)) => Some(format!("{user}: {command}")),
        (user, command) => user.or_else(|| command.clone()),
    };
    let parts: Vec<String> = revision.into_iter().chain(who).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}
