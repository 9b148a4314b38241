//! Debian's archive as apt sees it, with sources and lists of our own.
//!
//! The machine's apt configuration stays as it is: only its mirror is taken from it. Two views exist, because a view
//! that knows a newer Debian release must never install anything: apt would replace half of the machine with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::command::{output, run};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Suites whose kernels can be asked for.
const KERNEL_SUITES: [&str; 5] =
    ["bookworm", "bookworm-security", "bookworm-backports", "trixie", "trixie-backports"];

/// One private view of Debian's archive.
pub(super) struct Archive {
    directory: PathBuf,
    release: String,
}

impl Archive {
    /// The release of this machine and its backports: what may be installed.
    pub(super) fn for_programs(directory: &Path) -> Result<Self> {
        let release = host_release()?;
        let suites = [release.as_str(), &format!("{release}-security"), &format!("{release}-backports")];
        Self::open(directory, &release, &suites)
    }

    /// Every release that has a kernel to try: for downloading only.
    pub(super) fn for_kernels(directory: &Path) -> Result<Self> {
        Self::open(directory, &host_release()?, &KERNEL_SUITES)
    }

    fn open(directory: &Path, release: &str, suites: &[&str]) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial"] {
            let part = directory.join(part);
            fs::create_dir_all(&part).with_context(|| format!("cannot create {}", part.display()))?;
        }
        let sources = sources(&index_targets()?, suites)?;
        for (name, content) in [("sources.list", sources), ("apt.conf", configuration(directory))] {
            let file = directory.join(name);
            fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
        }
        let archive = Self { directory: directory.to_owned(), release: release.to_owned() };
        run(archive.command("apt-get").args(["-qq", "update"]))?;
        Ok(archive)
    }

    /// Installs `packages`, from the backports where a package is there.
    ///
    /// QEMU has to come from the backports: the newer qemu-utils on many machines breaks with the release's own.
    pub(super) fn install(&self, packages: &[&str]) -> Result<()> {
        let backports = format!("{}-backports", self.release);
        let mut command = self.command("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command.args(["-qq", "-y", "--no-install-recommends", "-t", &backports, "install"]).args(packages);
        run(&mut command)
    }

    /// The names of all packages that begin with `prefix`.
    pub(super) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = output(self.command("apt-cache").args(["pkgnames", prefix]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Downloads the newest `package` into `directory`, without installing it.
    pub(super) fn download(&self, package: &str, directory: &Path) -> Result<()> {
        run(self.command("apt-get").current_dir(directory).args(["-qq", "download", package]))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.directory.join("apt.conf"));
        command
    }
}

/// The configuration of the view in `directory`, as apt.conf(5) wants it.
fn configuration(directory: &Path) -> String {
    let at = |part: &str| directory.join(part).display().to_string();
    format!(
        "Dir::Etc::sourcelist \"{}\";\nDir::Etc::sourceparts \"-\";\nDir::State::lists \"{}\";\nDir::Cache \"{}\";\n\
         APT::Sandbox::User \"root\";\n",
        at("sources.list"),
        at("lists"),
        at("cache")
    )
}

/// The release of this machine by name, as os-release(5) says it.
fn host_release() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(name.context("/etc/os-release names no release (VERSION_CODENAME)")?.trim_matches('"').to_owned())
}

/// What this machine's apt knows of Debian: lines of an address and a release.
fn index_targets() -> Result<String> {
    let fields = "$(REPO_URI) $(CODENAME)";
    output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        fields,
        "Created-By: Packages",
        "Origin: Debian",
    ]))
}

/// A sources.list of `suites`, on the mirrors that `targets` names.
///
/// A suite of security updates is left out where the machine has no mirror of them.
fn sources(targets: &str, suites: &[&str]) -> Result<String> {
    let mirrors = || targets.lines().filter_map(|line| line.split_once(' '));
    let of_releases = mirrors().find(|(_, suite)| !suite.contains('-')).map(|(uri, _)| uri);
    let of_security = mirrors().find(|(_, suite)| suite.ends_with("-security")).map(|(uri, _)| uri);
    let of_releases = of_releases.context(
        "apt knows no mirror of Debian, so no kernel can be fetched\nhint: a Debian release in /etc/apt, then `apt-get update`",
    )?;
    let mirror = |suite: &str| if suite.ends_with("-security") { of_security } else { Some(of_releases) };
    let lines = suites.iter().filter_map(|suite| {
        mirror(suite).map(|uri| format!("deb [signed-by={KEYRING}] {uri} {suite} main\n"))
    });
    Ok(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = "http://mirror.example/debian/ bookworm\nhttp://mirror.example/debian/ bookworm-updates\n\
                           http://mirror.example/security/ bookworm-security\n";

    #[test]
    fn each_suite_is_taken_from_the_mirror_that_has_its_like() {
        let sources = sources(TARGETS, &["trixie", "bookworm-security"]).unwrap();
        let lines: Vec<&str> = sources.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("http://mirror.example/debian/ trixie main"), "{sources}");
        assert!(lines[1].ends_with("http://mirror.example/security/ bookworm-security main"), "{sources}");
    }

    #[test]
    fn security_updates_are_left_out_where_no_mirror_has_them() {
        let sources =
            sources("http://mirror.example/debian/ bookworm\n", &["bookworm", "bookworm-security"]).unwrap();
        assert_eq!(sources.lines().count(), 1);
    }

    #[test]
    fn a_machine_without_a_debian_mirror_is_told() {
        let error = sources("", &["bookworm"]).unwrap_err().to_string();
        assert!(error.contains("apt knows no mirror of Debian"), "{error}");
    }
}
