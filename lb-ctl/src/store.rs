//! The stored configuration: one file, replaced as a whole.
//!
//! It survives the agent and the machine. What it means is not judged here beyond [`validate`].

use crate::config::model::{Config, Intent};
use crate::config::validate::validate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Version of the file's format. A newer one is refused.
pub const FORMAT: u32 = 1;

const FILE: &str = "store.json";
const NEW_FILE: &str = "store.json.new";
/// The largest configuration that the limits of the tables allow is far below.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// What the operator asked for.
    pub config: Config,
    /// What the operator asked for beside it.
    #[serde(default)]
    pub intent: Intent,
    /// VIPs that the agent put on an interface, with its name: they are taken off again, others never.
    #[serde(default)]
    pub placed: BTreeMap<IpAddr, String>,
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    format: u32,
    #[serde(flatten)]
    stored: T,
}

#[derive(Deserialize)]
struct Nothing {}

/// Why the store cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What stopped it.
        source: io::Error,
    },
    /// The file is not what this program writes.
    #[error("cannot use {path}: {message}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A newer version of this program wrote it.
    #[error("cannot use {path}: it has format {found}, this version knows format {FORMAT}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

impl StoreError {
    /// The way back.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { .. } => None,
            Self::Broken { path, .. } => Some(format!(
                "repair it, or move it away and start `lb-ctl agent --config FILE`; forwarding goes on meanwhile ({})",
                path.display()
            )),
            Self::Newer { .. } => {
                Some("start the newer version of lb-ctl again; forwarding goes on meanwhile".to_owned())
            }
        }
    }
}

/// The directory of the stored configuration.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// Opens the store in `directory`, which is made (mode 0750) if it does not exist.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let made = DirBuilder::new().recursive(true).mode(0o750).create(directory);
        made.map_err(|source| failed("make", directory, source))?;
        Ok(Self { directory: directory.to_owned() })
    }

    /// What is stored; `None` if nothing ever was.
    ///
    /// # Errors
    /// The file cannot be read, is broken, or is of a newer format.
    pub fn load(&self) -> Result<Option<Stored>, StoreError> {
        let path = self.directory.join(FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path, error)),
        };
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(|error| failed("read", &path, error))?;
        decode(&text, &path).map(Some)
    }

    /// Stores `stored` in place of what was there; it is on the disk when this returns.
    ///
    /// # Errors
    /// It cannot be written; what was there is unharmed.
    pub fn save(&self, stored: &Stored) -> Result<(), StoreError> {
        let (path, new) = (self.directory.join(FILE), self.directory.join(NEW_FILE));
        let text = serde_json::to_vec_pretty(&Envelope { format: FORMAT, stored })
            .map_err(|error| StoreError::Broken { path: new.clone(), message: error.to_string() })?;
        write_synced(&new, &text).map_err(|error| failed("write", &new, error))?;
        fs::rename(&new, &path).map_err(|error| failed("replace", &path, error))?;
        let synced = File::open(&self.directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| failed("write", &self.directory, error))
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn decode(text: &str, path: &Path) -> Result<Stored, StoreError> {
    let broken = |message: String| StoreError::Broken { path: path.to_owned(), message };
    let envelope: Envelope<Nothing> =
        serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
    if envelope.format > FORMAT {
        return Err(StoreError::Newer { path: path.to_owned(), found: envelope.format });
    }
    let envelope: Envelope<Stored> = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
    validate(&envelope.stored.config).map_err(|error| broken(error.to_string()))?;
    Ok(envelope.stored)
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn stored() -> Stored {
        let text = "[[service]]\nname = \"web\"\nvip = \"192.0.2.10\"\nport = 80\nprotocol = \"tcp\"\n[[pool]]\nname = \"web\"\n";
        let intent = Intent { drained: [("web".to_owned(), "pc1".to_owned())].into() };
        let placed = [("192.0.2.10".parse().unwrap(), "eth0".to_owned())].into();
        Stored { config: crate::config::parse::from_toml(text, "test").unwrap(), intent, placed }
    }

    #[test]
    fn what_was_stored_is_there_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        let store = Store::open(&path).unwrap();
        assert_eq!(store.load().unwrap(), None);
        for stored in [Stored::default(), stored()] {
            store.save(&stored).unwrap();
            assert_eq!(Store::open(&path).unwrap().load().unwrap(), Some(stored));
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o750);
        assert_eq!(fs::metadata(path.join(FILE)).unwrap().mode() & 0o777, 0o600);
        assert!(!path.join(NEW_FILE).exists());
    }

    #[test]
    fn a_write_that_was_cut_off_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        store.save(&stored()).unwrap();
        fs::write(directory.path().join(NEW_FILE), "{\"format\":1,\"conf").unwrap();
        assert_eq!(store.load().unwrap(), Some(stored()));
        store.save(&Stored::default()).unwrap();
        assert_eq!(store.load().unwrap(), Some(Stored::default()));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_with_the_way_back() {
        let rows = [
            ("", "cannot use", "repair it"),
            ("{\"format\":1,\"config\":{\"servi", "cannot use", "repair it"),
            ("{\"format\":2,\"anything\":[]}", "has format 2, this version knows format 1", "newer version"),
            ("{\"format\":1,\"config\":{\"colour\":\"red\"}}", "unknown field `colour`", "repair it"),
            (
                "{\"format\":1,\"config\":{\"service\":[{\"name\":\"a\",\"vip\":\"192.0.2.1\",\"port\":80,\"protocol\":\"tcp\",\"pools\":[\"b\"]}]}}",
                "there is no pool b",
                "repair it",
            ),
        ];
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        for (text, want, hint) in rows {
            fs::write(directory.path().join(FILE), text).unwrap();
            let error = store.load().unwrap_err();
            assert!(error.to_string().contains(want), "{text}: {error}");
            assert!(error.hint().unwrap().contains(hint), "{text}");
            assert_eq!(fs::read_to_string(directory.path().join(FILE)).unwrap(), text);
        }
    }
}
