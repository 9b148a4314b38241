//! Reading a configuration file that the operator names.

use super::resolve;
use crate::api::{Failure, FailureKind};
use crate::config::model::Config;
use crate::config::parse::from_toml_with;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Far above what the limits of the tables allow.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The configuration in the file at `path`; `-` is the standard input. Host names are resolved now.
///
/// # Errors
/// It cannot be read, or is no configuration.
pub(super) fn read(path: &Path) -> Result<Config> {
    let name = path.display().to_string();
    let text = read_text(path).with_context(|| format!("cannot read {name}"))?;
    from_toml_with(&text, &name, &resolve::host).map_err(|error| {
        // The command was right; what is in the file is not.
        let failure = Failure::from(error);
        Failure { kind: FailureKind::Failed, ..failure }.into()
    })
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().take(MAX_BYTES + 1).read_to_string(&mut text)?
    } else {
        File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?
    };
    if u64::try_from(read).is_ok_and(|read| read <= MAX_BYTES) {
        return Ok(text);
    }
    Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {MAX_BYTES} bytes")))
}
