//! Where maps and links are pinned, and whether what is pinned there can be adopted.

use super::error::{DatapathError, Result, kernel};
use super::sys::{self, RawMap};
use crate::fault;
use aya_obj::Map as MapDefinition;
use lb_common::counters::Settings;
use lb_common::maps::SCHEMA_VERSION;
use std::fs::{self, DirBuilder};
use std::io;
use std::mem::offset_of;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use zerocopy::{FromBytes as _, IntoBytes as _};

/// The directory of pins of one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pins(PathBuf);

impl Pins {
    /// The pins below `directory`; nothing is looked at.
    pub(super) fn at(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// Makes the directories, for root alone.
    pub(super) fn create(&self) -> Result<()> {
        check_mount(&self.0)?;
        [&self.0, &self.maps(), &self.links()].into_iter().try_for_each(|directory| make_directory(directory))
    }

    /// Makes the directories below `parent`, which is made as well.
    pub(super) fn create_within(&self, parent: &Path) -> Result<()> {
        check_mount(parent)?;
        make_directory(parent)?;
        self.create()
    }

    /// Whether there are any.
    pub(super) fn exist(&self) -> bool {
        self.0.exists()
    }

    /// Unpins everything.
    pub(super) fn remove(&self) -> Result<()> {
        fault::around("no pins", || fs::remove_dir_all(&self.0))
            .map_err(kernel(format!("remove {}", self.0.display())))
    }

    /// Where the maps are.
    pub(super) fn maps(&self) -> PathBuf {
        self.0.join("maps")
    }

    /// Where maps are made that will take the place of others. A BPF file system takes no name with a full stop.
    pub(super) fn next(&self) -> PathBuf {
        self.0.join("maps-next")
    }

    /// Where they are once every packet uses them.
    pub(super) fn done(&self) -> PathBuf {
        self.0.join("maps-done")
    }

    /// Where the links are.
    fn links(&self) -> PathBuf {
        self.0.join("links")
    }

    /// Where the link of an interface is.
    pub(super) fn link(&self, interface: &str) -> PathBuf {
        self.links().join(file_name(interface))
    }

    /// Where the programs that count failed redirects are, with their map.
    pub(super) fn redirects(&self) -> PathBuf {
        self.0.join("redirects")
    }

    /// The names of the pinned links, sorted.
    pub(super) fn link_names(&self) -> Result<Vec<String>> {
        Ok(names_in(&self.links())?.iter().map(|file| interface_name(file)).collect())
    }
}

/// The name of the file for a link. A BPF file system refuses a dot, which every VLAN device has; a colon, which it takes,
/// is in no interface's name.
fn file_name(interface: &str) -> String {
    interface.replace('.', ":")
}

fn interface_name(file: &str) -> String {
    file.replace(':', ".")
}

/// Where the link of `interface` is pinned below `bpffs`.
pub fn link_pin(bpffs: &Path, interface: &str) -> PathBuf {
    Pins::at(bpffs).link(interface)
}

/// The names in `directory`, sorted; none if it is not there.
pub(super) fn names_in(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(kernel(format!("list {}", directory.display())))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(kernel(format!("list {}", directory.display())))?;
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

/// Makes a directory for root alone.
pub(super) fn make_directory(path: &Path) -> Result<()> {
    let make = || DirBuilder::new().mode(0o700).recursive(true).create(path);
    fault::around("a directory of pins", make).map_err(kernel(format!("make {}", path.display())))
}

/// Unpins what is at `path`.
pub(super) fn remove(path: &Path) -> Result<()> {
    fault::around("a removed pin", || fs::remove_file(path))
        .map_err(kernel(format!("remove {}", path.display())))
}

/// Removes a directory of pins with all that is in it.
pub(super) fn remove_directory(path: &Path) -> Result<()> {
    fault::around("a removed directory of pins", || fs::remove_dir_all(path))
        .map_err(kernel(format!("remove {}", path.display())))
}

/// Gives a pin, or a directory of pins, another name, by one step; what had that name is unpinned.
pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    fault::around("a renamed pin", || fs::rename(from, to)).map_err(kernel(format!(
        "rename {} to {}",
        from.display(),
        to.display()
    )))
}

/// Opens what is pinned at `path`; `None` if nothing is.
pub(super) fn open(path: &Path) -> Result<Option<OwnedFd>> {
    match sys::open_pin(path) {
        Ok(fd) => Ok(Some(fd)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(kernel(format!("open {}", path.display()))(error)),
    }
}

/// Refuses a path that is not on a BPF file system. What does not exist yet counts as its parent.
fn check_mount(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = if path.exists() { path } else { parent };
    match sys::is_bpffs(place) {
        Ok(true) => Ok(()),
        Ok(false) => Err(DatapathError::NoBpffs { mount: place.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(DatapathError::NoBpffs { mount: place.to_owned() })
        }
        Err(error) => Err(kernel(format!("look at {}", place.display()))(error)),
    }
}

/// Refuses pinned maps that another version made. Fresh ones, which no agent has written to yet, have no version.
pub(super) fn check_schema(maps: &Path) -> Result<()> {
    match schema(maps)? {
        None | Some(0 | SCHEMA_VERSION) => Ok(()),
        Some(pinned) => {
            Err(DatapathError::Schema { directory: maps.to_owned(), pinned, ours: SCHEMA_VERSION })
        }
    }
}

/// The version of the pinned maps; `None` if there are none, 0 if no agent has written to them yet.
pub(super) fn schema(maps: &Path) -> Result<Option<u32>> {
    let Some(fd) = open(&maps.join("SETTINGS"))? else { return Ok(None) };
    let unreadable = || kernel(format!("read the schema version in {}", maps.display()));
    let map = RawMap::new(fd, None).map_err(unreadable())?;
    // Another version's settings may have another size; the version is the first field in all of them.
    const { assert!(offset_of!(Settings, schema) == 0) };
    let mut settings = vec![0; map.info().value_size as usize];
    map.lookup(0_u32.as_bytes(), &mut settings).map_err(unreadable())?;
    let (pinned, _) = u32::read_from_prefix(&settings).unwrap_or_default();
    Ok(Some(pinned))
}

/// Refuses a pinned map that is not as the program defines it; the size of a `sized` one is the operator's to choose.
pub(super) fn check_shape(path: &Path, definition: &MapDefinition, sized: bool) -> Result<()> {
    let Some(fd) = open(path)? else { return Ok(()) };
    let map = RawMap::new(fd, None).map_err(kernel(format!("look at {}", path.display())))?;
    let pinned = map.info();
    // The kernel stores a devmap read-only for programs, which nobody asked for.
    let flags = pinned.flags & !aya_obj::generated::BPF_F_RDONLY_PROG;
    let entries = if sized { pinned.max_entries } else { definition.max_entries() };
    for (what, pinned, ours) in [
        ("type", pinned.kind, definition.map_type()),
        ("key size", pinned.key_size, definition.key_size()),
        ("value size", pinned.value_size, definition.value_size()),
        ("number of entries", pinned.max_entries, entries),
        ("flags", flags, definition.map_flags()),
    ] {
        if pinned != ours {
            return Err(DatapathError::Shape { path: path.to_owned(), what, pinned, ours });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_has_no_dot_and_leads_back_to_its_interface() {
        for (interface, file) in [("eth0", "eth0"), ("eth0.100", "eth0:100"), ("a.b.c", "a:b:c")] {
            assert_eq!(link_pin(Path::new("/bpf"), interface), Path::new("/bpf/links").join(file));
            assert_eq!(interface_name(file), interface);
        }
    }
}
