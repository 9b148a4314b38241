//! The hand-over of a built object to lb-ctl's build.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Copies `built` to `object` unless that is the same already; tells whether it did.
///
/// An object that stays untouched keeps its time, so that cargo does not build lb-ctl again. A reader sees the old
/// object or the new one, never a part of it.
pub(super) fn publish(built: &Path, object: &Path) -> Result<bool> {
    let new = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    match fs::read(object) {
        Ok(old) if old == new => return Ok(false),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot read {}", object.display()));
        }
        Ok(_) | Err(_) => {}
    }
    replace(object, &new).with_context(|| format!("cannot write {}", object.display()))?;
    Ok(true)
}

fn replace(object: &Path, content: &[u8]) -> io::Result<()> {
    let directory = object.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let young = object.with_extension(format!("new-{}", std::process::id()));
    fs::write(&young, content)?;
    fs::rename(&young, object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn an_equal_object_is_left_alone_and_a_changed_one_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (built, object) = (directory.path().join("director"), directory.path().join("bpf/director.o"));
        fs::write(&built, "one").unwrap();
        assert!(publish(&built, &object).unwrap());
        let first = fs::metadata(&object).unwrap().ino();
        assert!(!publish(&built, &object).unwrap());
        assert_eq!(fs::metadata(&object).unwrap().ino(), first);
        fs::write(&built, "two").unwrap();
        assert!(publish(&built, &object).unwrap());
        assert_eq!(fs::read(&object).unwrap(), b"two");
        assert_eq!(fs::read_dir(object.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_build_that_is_not_there_is_told() {
        let error = publish(Path::new("/no-such/director"), Path::new("/no-such/director.o")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /no-such/director");
    }
}
