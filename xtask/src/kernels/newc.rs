//! An initramfs in the format "newc", as Linux unpacks it (`early-userspace/buffer-format` of the kernel's documents).
//!
//! Only what a guest needs: directories and files that belong to root. Device nodes come from devtmpfs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const TRAILER: &str = "TRAILER!!!";

/// An archive that grows entry by entry; every path in it is relative to the guest's root.
#[derive(Default)]
pub(super) struct Newc {
    bytes: Vec<u8>,
    directories: BTreeSet<String>,
}

impl Newc {
    /// Adds the directory `path` and those above it, unless they are there.
    pub(super) fn directory(&mut self, path: &str) {
        let mut above = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !above.is_empty() {
                above.push('/');
            }
            above.push_str(part);
            if self.directories.insert(above.clone()) {
                self.entry(&above, DIRECTORY, &[]);
            }
        }
    }

    /// Adds the executable file `path` with `content`, and the directories above it.
    pub(super) fn file(&mut self, path: &str, content: &[u8]) {
        let path = path.trim_start_matches('/');
        if let Some((above, _)) = path.rsplit_once('/') {
            self.directory(above);
        }
        self.entry(path, PROGRAM, content);
    }

    /// Adds a copy of this machine's file `source`.
    pub(super) fn copy(&mut self, path: &str, source: &Path) -> Result<()> {
        let content = fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
        self.file(path, &content);
        Ok(())
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry(TRAILER, 0, &[]);
        self.bytes
    }

    /// Header fields: magic, inode, mode, uid, gid, links, mtime, size, four device numbers, length of the name with
    /// its NUL, checksum (unused).
    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        let inode = self.bytes.len();
        let (size, name_size) = (content.len(), name.len() + 1);
        let header = format!(
            "070701{inode:08X}{mode:08X}{0:08X}{0:08X}{1:08X}{0:08X}{size:08X}{0:08X}{0:08X}{0:08X}{0:08X}{name_size:08X}{0:08X}",
            0, 1
        );
        self.bytes.extend(header.bytes().chain(name.bytes()).chain([0]));
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        let length = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(length, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(archive: &[u8]) -> Vec<(String, usize)> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < archive.len() {
            let field = |index: usize| {
                let start = at + 6 + index * 8;
                usize::from_str_radix(std::str::from_utf8(&archive[start..start + 8]).unwrap(), 16).unwrap()
            };
            assert_eq!(&archive[at..at + 6], b"070701");
            let (size, name_size) = (field(6), field(11));
            let name = String::from_utf8(archive[at + 110..at + 110 + name_size - 1].to_vec()).unwrap();
            at = (at + 110 + name_size).next_multiple_of(4);
            at = (at + size).next_multiple_of(4);
            found.push((name, size));
        }
        found
    }

    #[test]
    fn directories_come_before_their_files_and_once_only() {
        let mut archive = Newc::default();
        archive.file("/bin/sh", b"#!");
        archive.file("bin/other", b"12345");
        archive.directory("sys/fs");
        let expected = [("bin", 0), ("bin/sh", 2), ("bin/other", 5), ("sys", 0), ("sys/fs", 0), (TRAILER, 0)];
        assert_eq!(names(&archive.finish()), expected.map(|(name, size)| (name.to_owned(), size)));
    }
}
