//! The file that an empty store is filled from, and whether it says what is stored.
//!
//! It is read beside the writer, and only when it changed: host names in it may take long to resolve.

use super::initial::read_file;
use crate::api::Warning;
use crate::config::change::replacement;
use crate::config::model::Config;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;
use tokio::task::{JoinHandle, spawn_blocking};

/// When the file was changed last, and its length; `None` where it is not there.
type Stamp = Option<(SystemTime, u64)>;

/// The file, as it was read last.
#[derive(Debug, Default)]
pub(super) struct Imported {
    path: Option<PathBuf>,
    seen: Option<Stamp>,
    config: Option<Result<Config, String>>,
    reading: Option<JoinHandle<Result<Config, String>>>,
}

impl Imported {
    /// The file at `path`, if there is one; it is not read yet.
    pub(super) fn at(path: Option<PathBuf>) -> Self {
        Self { path, ..Self::default() }
    }

    /// Takes what was read meanwhile, and begins to read what has changed.
    pub(super) async fn look(&mut self) {
        let Some(path) = &self.path else { return };
        if let Some(read) = self.reading.take_if(|reading| reading.is_finished()) {
            self.config = read.await.ok();
        }
        let stamp: Stamp = fs::metadata(path).ok().and_then(|file| Some((file.modified().ok()?, file.len())));
        if self.reading.is_none() && self.seen != Some(stamp) {
            self.seen = Some(stamp);
            let path = path.clone();
            self.reading =
                Some(spawn_blocking(move || read_file(&path).map_err(|error| format!("{error:#}"))));
        }
    }

    /// That it cannot be read, or differs from `stored`.
    pub(super) fn warning(&self, stored: &Config) -> Option<Warning> {
        let (message, hint) = match self.config.as_ref()? {
            Ok(config) if replacement(stored, config) == *stored => return None,
            Ok(_) => (
                format!("the configuration in force differs from {}", self.path.as_ref()?.display()),
                "`lb-ctl diff` shows how, `lb-ctl apply` takes it over",
            ),
            Err(error) => (error.clone(), "the configuration in force is the stored one"),
        };
        Some(Warning { message, hint: Some(hint.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(file: &mut Imported, stored: &Config) -> Option<String> {
        file.look().await;
        while file.reading.is_some() {
            tokio::task::yield_now().await;
            file.look().await;
        }
        file.warning(stored).map(|warning| warning.message)
    }

    #[tokio::test]
    async fn a_file_that_says_something_else_is_told_until_it_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lb.toml");
        let mut file = Imported::at(Some(path.clone()));
        let stored = Config::default();
        let pool = "[[pool]]\nname = \"web\"\n";
        let rows = [
            (None, Some("cannot read")),
            (Some(pool), Some("differs from")),
            (Some("[[pool]]\n"), Some("missing field")),
            (Some(""), None),
        ];
        for (text, want) in rows {
            if let Some(text) = text {
                fs::write(&path, text).unwrap();
            }
            let said = told(&mut file, &stored).await;
            assert_eq!(said.is_some(), want.is_some(), "{text:?}: {said:?}");
            assert!(want.is_none_or(|want| said.unwrap().contains(want)), "{text:?}");
        }
        assert_eq!(told(&mut Imported::at(None), &stored).await, None);
    }
}
