//! A kernel of Debian: found in the archive, downloaded once, unpacked to the two files that a guest needs.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::apt::Archive;
use super::command::run;

/// The modules for the devices that the tests make, each after those it needs: Debian's kernels have none built in.
pub(super) const MODULES: [&str; 10] =
    ["veth", "llc", "stp", "bridge", "tls", "bonding", "garp", "mrp", "8021q", "macvlan"];

/// A kernel on this machine's disk, ready to boot.
pub(super) struct Image {
    directory: PathBuf,
    package: String,
}

impl Image {
    /// The newest kernel of the line `version` (such as "6.1"), downloaded unless `directory` has one already.
    pub(super) fn fetch(directory: &Path, version: &str) -> Result<Self> {
        let stamp = directory.join("package");
        if let Some(image) = Self::kept(directory, &stamp) {
            return Ok(image);
        }
        let lists = directory.parent().unwrap_or(directory).join("apt-kernels");
        let archive = Archive::for_kernels(&lists)?;
        let package = find(&archive, version)?;
        let downloads = fresh(&directory.join("downloads"))?;
        for part in parts(&archive, &package)? {
            archive.download(&part, &downloads)?;
        }
        let unpacked = fresh(&directory.join("unpacked"))?;
        for file in files(&downloads)? {
            run(Command::new("dpkg-deb").arg("-x").arg(file).arg(&unpacked))?;
        }
        keep(directory, &unpacked).with_context(|| format!("cannot use {package}"))?;
        fs::remove_dir_all(&unpacked)
            .and_then(|()| fs::remove_dir_all(&downloads))
            .context("cannot clean up")?;
        fs::write(&stamp, &package).with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(Self { directory: directory.to_owned(), package })
    }

    /// What an earlier run has left, if it is all that is wanted today.
    fn kept(directory: &Path, stamp: &Path) -> Option<Self> {
        let package = fs::read_to_string(stamp).ok()?;
        let image = Self { directory: directory.to_owned(), package };
        image.modules().iter().all(|module| module.is_file()).then_some(image)
    }

    /// The package the kernel came from, which names its exact version.
    pub(super) fn package(&self) -> &str {
        &self.package
    }

    /// The kernel itself.
    pub(super) fn vmlinuz(&self) -> PathBuf {
        self.directory.join("vmlinuz")
    }

    /// The modules, in the order of [`MODULES`].
    pub(super) fn modules(&self) -> [PathBuf; MODULES.len()] {
        MODULES.map(|module| self.directory.join(format!("{module}.ko")))
    }
}

fn find(archive: &Archive, version: &str) -> Result<String> {
    let names = archive.names("linux-image-")?;
    newest(names.iter().map(String::as_str), version).map(str::to_owned).with_context(|| {
        format!("Debian has no kernel {version}\nhint: `apt-cache search linux-image` on a newer release shows the lines")
    })
}

/// The packages that hold the kernel of `image`: from 6.19 on the image is only a frame around two others.
fn parts(archive: &Archive, image: &str) -> Result<Vec<String>> {
    let release = image.trim_start_matches("linux-image-");
    let split: Vec<String> =
        ["linux-binary-", "linux-modules-"].map(|part| format!("{part}{release}")).to_vec();
    let known = archive.names("linux-binary-")?;
    Ok(if split.first().is_some_and(|binary| known.contains(binary)) {
        split
    } else {
        vec![image.to_owned()]
    })
}

/// The package with the highest version in the line `version`, of the plain kernels for 64-bit PCs.
fn newest<'names>(names: impl Iterator<Item = &'names str>, version: &str) -> Option<&'names str> {
    let line = numbers(version);
    let plain = names.filter_map(|name| {
        let release = name.strip_prefix("linux-image-")?.strip_suffix("-amd64")?;
        let flavour = ["cloud", "rt"].iter().any(|word| release.ends_with(word));
        let release = numbers(release);
        (!flavour && release.len() > line.len() && release.starts_with(&line)).then_some((release, name))
    });
    plain.max().map(|(_, name)| name)
}

fn numbers(text: &str) -> Vec<u64> {
    text.split(|letter: char| !letter.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// Moves the kernel and the modules out of `unpacked`.
fn keep(directory: &Path, unpacked: &Path) -> Result<()> {
    let all = tree(unpacked)?;
    let named = |start: &str| {
        let name = |file: &&PathBuf| {
            file.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with(start))
        };
        all.iter().find(name).with_context(|| format!("it holds no file {start}*"))
    };
    fs::rename(named("vmlinuz")?, directory.join("vmlinuz")).context("cannot keep the kernel")?;
    MODULES.iter().try_for_each(|module| {
        let file = named(&format!("{module}.ko"))?;
        keep_module(directory, file).with_context(|| format!("cannot keep the module {module}"))
    })
}

fn keep_module(directory: &Path, module: &Path) -> Result<()> {
    let kept = directory.join(module.file_name().unwrap_or_default());
    fs::rename(module, &kept)?;
    if kept.extension() == Some(OsStr::new("xz")) {
        run(Command::new("xz").args(["--decompress", "--force"]).arg(&kept))?;
    }
    Ok(())
}

fn fresh(directory: &Path) -> Result<PathBuf> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    Ok(directory.to_owned())
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// Every file under `directory`; links are not followed.
fn tree(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        let (directories, others): (Vec<_>, Vec<_>) =
            files(&directory)?.into_iter().partition(|path| path.is_dir() && !path.is_symlink());
        open.extend(directories);
        found.extend(others);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 8] = [
        "linux-image-amd64",
        "linux-image-6.1.0-9-amd64",
        "linux-image-6.1.0-56-amd64",
        "linux-image-6.1.0-57-cloud-amd64",
        "linux-image-6.1.0-58-amd64-dbg",
        "linux-image-6.12.90+deb12.1-amd64",
        "linux-image-6.12.117+deb13-amd64",
        "linux-image-6.12-amd64",
    ];

    #[test]
    fn the_newest_plain_kernel_of_the_line_is_chosen_by_number() {
        assert_eq!(newest(NAMES.into_iter(), "6.1"), Some("linux-image-6.1.0-56-amd64"));
        assert_eq!(newest(NAMES.into_iter(), "6.12"), Some("linux-image-6.12.117+deb13-amd64"));
        assert_eq!(newest(NAMES.into_iter(), "6.12.90"), Some("linux-image-6.12.90+deb12.1-amd64"));
    }

    #[test]
    fn a_line_that_debian_does_not_have_is_not_found() {
        assert_eq!(newest(NAMES.into_iter(), "5.15"), None);
    }
}
