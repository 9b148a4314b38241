//! Looking at what is pinned without loading anything: how `status` works when no agent runs.

use super::attach::{self, Attached};
use super::error::{Result, kernel};
use super::maps::Maps;
use super::pins::{self, Pins};
use super::reader::Reader;
use std::path::Path;
use std::sync::Arc;

/// What an agent left in the kernel.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// The interfaces that the program is attached to, by name.
    pub attachments: Vec<(String, Attached)>,
    /// Its tables and counters.
    pub reader: Reader,
}

/// Looks at the pins below `bpffs`; `None` if there are none.
///
/// # Errors
///
/// [`super::DatapathError::NotPermitted`] without privileges, [`super::DatapathError::Schema`] if another version made
/// the maps.
pub fn read_pins(bpffs: &Path) -> Result<Option<Pinned>> {
    let pins = Pins::at(bpffs);
    let directory = pins.maps();
    if pins::open(&directory.join("SETTINGS"))?.is_none() {
        return Ok(None);
    }
    pins::check_schema(&directory)?;
    let maps = Maps::open(|name| {
        let path = directory.join(name);
        let missing = || kernel(format!("open {}", path.display()))(std::io::ErrorKind::NotFound.into());
        pins::open(&path)?.ok_or_else(missing)
    })?;
    Ok(Some(Pinned { attachments: attach::attachments(&pins)?, reader: Reader(Arc::new(maps)) }))
}
