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

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::{mark, plain};
    use super::*;

    pub(in crate::render) fn revision(number: u64, message: Option<&str>) -> Revision {
        Revision {
            number,
            time: 1_700_000_000 + number,
            by: mark().by,
            command: format!("server add web 10.0.0.{number}"),
            follows: None,
            message: message.map(str::to_owned),
        }
    }

    #[test]
    fn the_history_begins_with_what_is_in_force() {
        let history = [revision(12, Some("more of them")), revision(11, None)];
        insta::assert_snapshot!(plain(&all(&history)));
    }
}
