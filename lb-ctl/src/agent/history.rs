//! Revisions: listed, read, and made again.

use super::writer::Writer;
use crate::api::{ChangeRequest, Failure, FailureKind, Origin};
use crate::config::intent::{Actor, Mark};
use crate::config::model::Config;
use crate::store::Revision;

/// Longest command and message that the history keeps, in bytes.
const MAX_TEXT: usize = 1_000;

impl Writer {
    /// The revisions that are kept, newest first.
    pub(super) fn history(&self) -> Result<Vec<Revision>, Failure> {
        Ok(self.store.history(self.stored.revision.number)?)
    }

    /// The configuration of a revision.
    pub(super) fn revision(&self, number: u64) -> Result<Config, Failure> {
        Ok(self.store.revision(number)?.config)
    }

    /// The configuration that a rollback leads to.
    pub(super) fn rolled_back(&self, number: Option<u64>) -> Result<Config, Failure> {
        let current = self.stored.revision.number;
        let before = || {
            let older = self.history().ok()?.into_iter().map(|revision| revision.number);
            self.stored.revision.follows.or_else(|| older.filter(|number| *number < current).max())
        };
        match number.or_else(before) {
            Some(number) => self.revision(number),
            None => {
                Err(Failure::new(FailureKind::NotFound, format!("there is no revision before {current}"))
                    .with_hint("`lb-ctl history` lists them"))
            }
        }
    }

    /// The description of the revision that follows.
    pub(super) fn next_revision(&self, request: &ChangeRequest, mark: &Mark) -> Revision {
        Revision {
            number: self.store.next_number(self.stored.revision.number),
            time: mark.since,
            by: mark.by.clone(),
            command: command(request),
            follows: Some(self.stored.revision.number).filter(|number| *number > 0),
            message: request.terms.message.as_deref().map(line).filter(|message| !message.is_empty()),
        }
    }

    /// Who asked for a change, as events name them, and the revision that is in force after it.
    pub(super) fn origin(&self, request: &ChangeRequest, mark: &Mark) -> Origin {
        Origin { revision: Some(self.stored.revision.number), ..asked_by(request, &mark.by) }
    }

    /// A plan that was made for another revision is none.
    pub(super) fn check_expected(&self, expected: Option<u64>) -> Result<(), Failure> {
        let current = self.stored.revision.number;
        match expected {
            Some(expected) if expected != current => Err(Failure::new(
                FailureKind::Conflict,
                format!(
                    "the configuration changed meanwhile: it was revision {expected}, now it is {current}"
                ),
            )
            .with_hint("look at the plan again; `lb-ctl history` says who changed what")),
            _ => Ok(()),
        }
    }
}

/// Who asks for a change, and how.
pub(super) fn asked_by(request: &ChangeRequest, by: &Actor) -> Origin {
    let (user, command) = (Some(by.user.clone()), Some(command(request)));
    Origin { uid: by.uid, user, command, revision: None }
}

/// What was typed, or asked of the API.
fn command(ChangeRequest { change, terms }: &ChangeRequest) -> String {
    line(&terms.command.clone().unwrap_or_else(|| format!("api: {}", change.word())))
}

/// One line of at most [`MAX_TEXT`] bytes: what came over the socket ends up in logs and on terminals.
fn line(text: &str) -> String {
    let mut line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.truncate(line.floor_char_boundary(MAX_TEXT));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_history_keeps_is_one_line() {
        let rows = [
            ("  apply lb.toml\n", "apply lb.toml".to_owned()),
            ("a\u{1b}[2Jb\nc", "a [2Jb c".to_owned()),
            (&"\u{e9}".repeat(600), "\u{e9}".repeat(500)),
        ];
        for (text, want) in rows {
            assert_eq!(line(text), want);
        }
    }
}
