//! Why the store cannot be read or written, and the way back.

use super::FORMAT;
use std::io;
use std::path::{Path, PathBuf};

/// Why the store cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What stopped it.
        source: io::Error,
    },
    /// The file is not what this program writes.
    #[error("cannot use {}: {message}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, with line and column.
        message: String,
        /// The newest revision that can be used.
        last_good: Option<PathBuf>,
    },
    /// A newer version of this program wrote it.
    #[error("cannot use {}: it has format {found}, this version knows formats up to {FORMAT}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest revision that can be used.
        last_good: Option<PathBuf>,
    },
    /// There is no file, and revisions of one.
    #[error("{} is gone, and the revisions beside it are not", path.display())]
    Lost {
        /// The file.
        path: PathBuf,
        /// The newest revision that can be used.
        last_good: PathBuf,
    },
    /// The file of a revision is not what this program writes; the one in force is another.
    #[error("cannot use revision {number}: {source}")]
    Revision {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        source: Box<StoreError>,
    },
    /// There is no such revision.
    #[error("there is no revision {number}: {}", there_are(kept.as_ref()))]
    NoRevision {
        /// The one that was asked for.
        number: u64,
        /// The first and the last that are kept.
        kept: Option<(u64, u64)>,
    },
}

impl StoreError {
    /// The way back.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => repair(source.kind()).map(str::to_owned),
            Self::Broken { path, last_good, .. } => Some(way_back("repair it", path, last_good.as_deref())),
            Self::Newer { path, last_good, .. } => {
                Some(way_back("start the newer version of lb-ctl again", path, last_good.as_deref()))
            }
            Self::Lost { path, last_good } => Some(way_back("put it back", path, Some(last_good))),
            Self::Revision { .. } => Some("`lb-ctl history` lists the others".to_owned()),
            Self::NoRevision { .. } => Some("`lb-ctl history` lists them".to_owned()),
        }
    }

    /// The same error, which names the newest revision that can be used.
    pub(super) fn with_last_good(mut self, file: Option<PathBuf>) -> Self {
        if let Self::Broken { last_good, .. } | Self::Newer { last_good, .. } = &mut self {
            *last_good = file;
        }
        self
    }
}

/// What is to be done before the same can be tried again.
fn repair(kind: io::ErrorKind) -> Option<&'static str> {
    if matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return Some("nothing was changed; make room, then do it again");
    }
    let read_only = kind == io::ErrorKind::ReadOnlyFilesystem;
    read_only.then_some("nothing was changed; make the file system writable, then do it again")
}

fn way_back(repair: &str, path: &Path, last_good: Option<&Path>) -> String {
    let path = path.display();
    let other = last_good.map_or_else(
        || format!("move {path} away and start `lb-ctl agent --config FILE`"),
        |good| format!("go back to the last good revision: `cp {} {path}`", good.display()),
    );
    format!("forwarding goes on meanwhile; {repair}, or {other}")
}

fn there_are(kept: Option<&(u64, u64)>) -> String {
    match kept {
        Some((first, last)) if first == last => format!("only {first} is kept"),
        Some((first, last)) => format!("{first} to {last} are kept"),
        None => "none is kept".to_owned(),
    }
}
