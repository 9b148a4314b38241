//! What the decapsulation program is to do on this server after a reboot: one file, replaced as a whole.

use crate::api::Failure;
use crate::config::model::Mode;
use crate::store::{StoreError, file};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirBuilder;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Version of the file's format. A newer one is refused.
pub const FORMAT: u32 = 1;

const FILE: &str = "decap.json";

/// What is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The interfaces that the program is to be attached to, and how.
    pub interfaces: BTreeMap<String, Mode>,
    /// The VIPs whose packets it is to take. With the last interface they are forgotten.
    pub vips: BTreeSet<IpAddr>,
}

impl Recorded {
    /// With the interface `name` and the `vips` beside those that are there.
    #[must_use]
    pub fn with(&self, name: &str, mode: Mode, vips: &[IpAddr]) -> Self {
        let mut recorded = self.clone();
        recorded.interfaces.insert(name.to_owned(), mode);
        recorded.vips.extend(vips);
        recorded
    }

    /// Without the interface `name`.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut recorded = self.clone();
        recorded.interfaces.remove(name);
        if recorded.interfaces.is_empty() { Self::default() } else { recorded }
    }
}

/// The file: its fields in one structure, so that an error names its line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: u32,
    interfaces: BTreeMap<String, Mode>,
    vips: BTreeSet<IpAddr>,
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// The directory of the file.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// The store in `directory`; nothing is looked at.
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Makes the directory (mode 0750) if it does not exist.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(&self) -> Result<(), Failure> {
        let made = DirBuilder::new().recursive(true).mode(0o750).create(&self.directory);
        made.map_err(|error| failed("make", &self.directory, &error))
    }

    /// What is recorded; nothing if there is no file.
    ///
    /// # Errors
    /// The file cannot be read, is broken, or is of a newer format.
    pub fn load(&self) -> Result<Recorded, Failure> {
        let path = self.directory.join(FILE);
        match file::read(&path).map_err(failure)? {
            Some(text) => decode(&text, &path),
            None => Ok(Recorded::default()),
        }
    }

    /// Records `recorded` in place of what was there; it is on the disk when this returns.
    ///
    /// # Errors
    /// It cannot be written; what was there is unharmed.
    pub fn save(&self, recorded: &Recorded) -> Result<(), Failure> {
        let path = self.directory.join(FILE);
        let Recorded { interfaces, vips } = recorded.clone();
        let text = serde_json::to_vec_pretty(&Content { format: FORMAT, interfaces, vips })
            .map_err(|error| failed("write", &path, &error))?;
        file::replace(&path, &text).map_err(failure)
    }
}

fn decode(text: &str, path: &Path) -> Result<Recorded, Failure> {
    let broken = |error: serde_json::Error| broken(path, &error.to_string());
    let Version { format } = serde_json::from_str(text).map_err(broken)?;
    if format > FORMAT {
        let path = path.display();
        let message =
            format!("cannot use {path}: it has format {format}, this version knows format {FORMAT}");
        let hint = "use the newer version of lb-ctl again; decapsulation goes on meanwhile";
        return Err(Failure::failed(message).with_hint(hint));
    }
    let Content { interfaces, vips, .. } = serde_json::from_str(text).map_err(broken)?;
    Ok(Recorded { interfaces, vips })
}

fn broken(path: &Path, message: &str) -> Failure {
    let path = path.display();
    Failure::failed(format!("cannot use {path}: {message}")).with_hint(format!(
        "repair it, or move it away (`mv {path} {path}.broken`) and attach with --persist again; decapsulation goes on \
         meanwhile"
    ))
}

#[expect(clippy::needless_pass_by_value, reason = "it is what an error is turned into")]
fn failure(error: StoreError) -> Failure {
    match &error {
        StoreError::Broken { path, message, .. } => broken(path, message),
        StoreError::Io { .. }
        | StoreError::Newer { .. }
        | StoreError::Lost { .. }
        | StoreError::Revision { .. }
        | StoreError::NoRevision { .. } => Failure::failed(error.to_string()),
    }
}

fn failed(action: &str, path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::failed(format!("cannot {action} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    const NEW_FILE: &str = "decap.json.new";

    fn vip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn recorded() -> Recorded {
        let vips = [vip("192.0.2.10"), vip("2001:db8::10")];
        Recorded::default().with("eth0", Mode::Auto, &vips).with("eth1", Mode::Generic, &vips[..1])
    }

    #[test]
    fn what_was_recorded_is_there_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        let store = Store::at(&path);
        assert_eq!(store.load().unwrap(), Recorded::default());
        store.create().unwrap();
        for recorded in [Recorded::default(), recorded()] {
            store.save(&recorded).unwrap();
            assert_eq!(Store::at(&path).load().unwrap(), recorded);
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o750);
        assert_eq!(fs::metadata(path.join(FILE)).unwrap().mode() & 0o777, 0o600);
        assert!(!path.join(NEW_FILE).exists());
    }

    #[test]
    fn a_write_that_was_cut_off_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::at(directory.path());
        store.save(&recorded()).unwrap();
        fs::write(directory.path().join(NEW_FILE), "{\"format\":1,\"inter").unwrap();
        assert_eq!(store.load().unwrap(), recorded());
        store.save(&Recorded::default()).unwrap();
        assert_eq!(store.load().unwrap(), Recorded::default());
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::at(directory.path());
        store.save(&recorded()).unwrap();
        fs::create_dir(directory.path().join(NEW_FILE)).unwrap();
        let failure = store.save(&Recorded::default()).unwrap_err();
        assert!(failure.message.starts_with("cannot write "), "{failure}");
        assert_eq!(store.load().unwrap(), recorded());
    }

    #[test]
    fn vips_add_up_and_go_with_the_last_interface() {
        let both = recorded();
        assert_eq!(both.vips.len(), 2);
        let one = both.without("eth1");
        assert_eq!((one.interfaces.len(), one.vips.len()), (1, 2));
        assert_eq!(one.without("eth7"), one);
        assert_eq!(one.without("eth0"), Recorded::default());
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_with_its_line_and_the_way_back() {
        let rows = [
            ("", "at line 1 column 0", "decap.json.broken"),
            ("{\"format\":1,\n\"interfaces\":{\"et", "at line 2 column", "decap.json.broken"),
            (
                "{\"format\":1,\"interfaces\":{},\"vips\":[],\n\"vlan\":3}",
                "unknown field `vlan`",
                "repair it",
            ),
            ("{\"format\":1,\"interfaces\":{},\n\"vips\":[\"192.0.2\"]}", "at line 2", "repair it"),
            ("{\"format\":1,\"interfaces\":{\"eth0\":\"fast\"},\"vips\":[]}", "fast", "repair it"),
            ("{\"format\":1}", "missing field `interfaces`", "repair it"),
            ("{\"format\":2,\"tunnels\":[]}", "has format 2, this version knows format 1", "newer version"),
        ];
        let directory = tempfile::tempdir().unwrap();
        let store = Store::at(directory.path());
        for (text, want, hint) in rows {
            fs::write(directory.path().join(FILE), text).unwrap();
            let failure = store.load().unwrap_err();
            assert!(failure.message.contains(want), "{text}: {failure}");
            assert!(failure.hint.unwrap().contains(hint), "{text}");
            assert_eq!(fs::read_to_string(directory.path().join(FILE)).unwrap(), text);
        }
    }
}
