//! The only code that prints: tables for people, JSON for programs, errors.
//!
//! Colour goes to terminals only; `anstream` takes it out for pipes and `NO_COLOR`. Tables are aligned columns without
//! borders, so that `grep`, `awk` and an eye trained on ipvsadm can read them.

pub mod change;
pub mod connections;
pub mod decap;
pub mod events;
pub mod history;
pub mod list;
mod number;
pub mod stats;
pub mod status;
mod style;
mod table;
#[cfg(test)]
mod tests;

use crate::api::{Failure, FailureKind};
use crate::config::ConfigError;
use crate::datapath::DatapathError;
use crate::store::StoreError;
use anyhow::{Context, Result};
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Prints `value` as JSON, or as `for_people` writes it.
///
/// # Errors
/// The output cannot be written.
pub fn show<T: Serialize>(as_json: bool, value: &T, for_people: impl FnOnce(&T) -> String) -> Result<()> {
    if as_json { json(value) } else { text(&for_people(value)) }
}

/// Prints `value` as JSON.
///
/// # Errors
/// The output cannot be written.
pub fn json<T: Serialize>(value: &T) -> Result<()> {
    let mut line = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    line.push('\n');
    text(&line)
}

/// Prints `value` as JSON on one line.
///
/// # Errors
/// The output cannot be written.
pub fn json_line<T: Serialize>(value: &T) -> Result<()> {
    let mut line = serde_json::to_string(value).context("cannot write JSON")?;
    line.push('\n');
    text(&line)
}

/// Prints `text`. A reader that has gone away (`| head`) ends the process quietly.
///
/// # Errors
/// The output cannot be written.
pub fn text(text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.context("cannot write to the standard output"),
    }
}

/// Prints a question, where it is seen even if the output goes to a file.
///
/// # Errors
/// It cannot be written.
pub fn prompt(question: &str) -> Result<()> {
    let mut out = anstream::stderr().lock();
    out.write_all(question.as_bytes()).and_then(|()| out.flush()).context("cannot ask")
}

/// Prints a remark beside the output, to the standard error.
pub fn note(text: &str) {
    // With the output gone there is nobody to tell.
    anstream::stderr().lock().write_all(style::labelled(style::HINT, "note", text).as_bytes()).ok();
}

/// Prints why a command failed, as JSON to the standard output or else to the standard error; gives its exit code.
pub fn error(as_json: bool, error: &anyhow::Error) -> ExitCode {
    // With the output gone there is nobody to tell.
    if as_json {
        json(&Refused { error: refusal(error) }).ok();
    } else {
        anstream::stderr().lock().write_all(error_text(error).as_bytes()).ok();
    }
    ExitCode::from(exit_code(error))
}

/// What `--json` prints when a command fails.
#[derive(Serialize)]
struct Refused {
    error: Failure,
}

fn refusal(error: &anyhow::Error) -> Failure {
    let plan = error.downcast_ref::<Failure>().and_then(|failure| failure.plan.clone());
    Failure { hint: hint(error), plan, ..Failure::new(kind(error), message(error)) }
}

fn error_text(error: &anyhow::Error) -> String {
    let message = style::labelled(style::ERROR, "error", &message(error));
    message + &hint(error).map(|hint| style::hint(&hint)).unwrap_or_default()
}

/// The error and its causes; a cause that is told already is not told again.
fn message(error: &anyhow::Error) -> String {
    let tell =
        |told: String, cause: String| if told.contains(&cause) { told } else { format!("{told}: {cause}") };
    error.chain().map(ToString::to_string).reduce(tell).unwrap_or_default()
}

fn hint(error: &anyhow::Error) -> Option<String> {
    let failure = error.downcast_ref::<Failure>().and_then(|failure| failure.hint.clone());
    let config = || error.downcast_ref::<ConfigError>().and_then(|error| error.hint.clone());
    let datapath = || error.downcast_ref::<DatapathError>().and_then(DatapathError::hint);
    let store = || error.downcast_ref::<StoreError>().and_then(StoreError::hint);
    failure.or_else(config).or_else(datapath).or_else(store)
}

fn kind(error: &anyhow::Error) -> FailureKind {
    let failure = error.downcast_ref::<Failure>().map(|failure| failure.kind);
    let config = || error.downcast_ref::<ConfigError>().map(|error| error.kind);
    failure.or_else(config).unwrap_or(FailureKind::Failed)
}

fn exit_code(error: &anyhow::Error) -> u8 {
    match kind(error) {
        FailureKind::Usage => 2,
        FailureKind::NotFound | FailureKind::Conflict | FailureKind::Unconfirmed | FailureKind::Failed => 1,
    }
}
