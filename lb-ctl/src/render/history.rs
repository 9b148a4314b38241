//! The revisions.

use super::number::utc;
use super::style;
use super::table::{Table, number, text};
use crate::store::Revision;

/// Every revision, newest first; the first one is in force.
pub fn all(history: &[Revision]) -> String {
    let mut table = Table::new(["Revision", "Time", "User", "Command", "Message"]);
    for (age, revision) in history.iter().enumerate() {
        let style = if age == 0 { style::GOOD } else { style::PLAIN };
        table.row([
            number(revision.number).styled(style),
            text(utc(revision.time)),
            text(&revision.by.user),
            text(&revision.command),
            text(revision.message.as_deref().unwrap_or_default()),
        ]);
    }
    table.finish()
}
