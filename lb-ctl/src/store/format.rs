//! What the files of the store look like: JSON with the number of its format first.

use super::{FORMAT, Revision, StoreError, Stored};
use crate::config::intent::{Intent, Mark, Order, ServerName};
use crate::config::model::Config;
use crate::config::validate::validate;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    format: u32,
    #[serde(flatten)]
    stored: T,
}

#[derive(Deserialize)]
struct Nothing {}

/// A file of which only the description of the revision is wanted.
#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    revision: Revision,
}

/// Format 1: no revisions, and drains that nobody signed.
#[derive(Deserialize)]
struct First {
    config: Config,
    #[serde(default)]
    intent: FirstIntent,
    #[serde(default)]
    placed: BTreeMap<IpAddr, String>,
}

#[derive(Default, Deserialize)]
struct FirstIntent {
    #[serde(default)]
    drained: BTreeSet<(String, String)>,
}

impl From<First> for Stored {
    fn from(First { config, intent, placed }: First) -> Self {
        let drained = |(pool, server)| {
            (ServerName { pool, server }, Order { drain: Some(Mark::default()), weight: None })
        };
        let orders = intent.drained.into_iter().map(drained).collect();
        let intent = Intent { orders, leaving: Vec::new() };
        Self { revision: Revision::default(), config, intent, placed }
    }
}

/// The text of a file that holds `stored`.
pub(super) fn encode(stored: &Stored, path: &Path) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec_pretty(&Envelope { format: FORMAT, stored })
        .map_err(|error| broken(path, &error.to_string()))
}

/// What the text of a file holds.
pub(super) fn decode(text: &str, path: &Path) -> Result<Stored, StoreError> {
    let stored = match check_format(text, path)? {
        1 => read::<First>(text, path)?.into(),
        _ => read::<Stored>(text, path)?,
    };
    validate(&stored.config).map_err(|error| broken(path, &error.to_string()))?;
    Ok(stored)
}

/// The revision that the text of a file holds.
pub(super) fn describe(text: &str, path: &Path) -> Result<Revision, StoreError> {
    check_format(text, path)?;
    Ok(read::<Described>(text, path)?.revision)
}

fn check_format(text: &str, path: &Path) -> Result<u32, StoreError> {
    let found = parse::<Nothing>(text, path)?.format;
    if found > FORMAT {
        return Err(StoreError::Newer { path: path.to_owned(), found, last_good: None });
    }
    Ok(found)
}

fn read<T: for<'de> Deserialize<'de>>(text: &str, path: &Path) -> Result<T, StoreError> {
    // Without the envelope, whose flattening would lose the line of an error.
    serde_json::from_str(text).map_err(|error| broken(path, &error.to_string()))
}

fn parse<T: for<'de> Deserialize<'de>>(text: &str, path: &Path) -> Result<Envelope<T>, StoreError> {
    serde_json::from_str(text).map_err(|error| broken(path, &error.to_string()))
}

fn broken(path: &Path, message: &str) -> StoreError {
    StoreError::Broken { path: path.to_owned(), message: message.to_owned(), last_good: None }
}
