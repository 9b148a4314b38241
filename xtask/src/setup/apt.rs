//! Installing Debian packages, without a question and without a service that starts.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use nix::unistd::Uid;

use super::packages::Package;
use crate::command::{find, run, say};

/// Where the administrator's units are. A link to nowhere masks one.
const UNITS: &str = "/etc/systemd/system";

/// Installs `packages`.
///
/// # Errors
/// This is not root, there is no apt-get, or apt-get fails.
pub(super) fn install(packages: &[&Package]) -> Result<()> {
    let names: Vec<&str> = packages.iter().map(|package| package.name).collect();
    allowed(&names.join(" "))?;
    for service in packages.iter().filter_map(|package| package.service) {
        mask(service)?;
    }
    run(apt_get().arg("update"))?;
    run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(names))
}

fn allowed(names: &str) -> Result<()> {
    if find("apt-get").is_none() {
        bail!("cannot install {names}: there is no apt-get\nhint:  install what is named by other means");
    }
    if !Uid::effective().is_root() {
        bail!("cannot install {names}: that takes root\nhint:  sudo apt-get install {names}");
    }
    Ok(())
}

/// A quiet apt-get that asks nothing and whose packages start no service.
///
/// Under systemd the mask keeps a service down. System V's `invoke-rc.d` asks for the run level instead, and in run
/// level 1 no network service starts.
fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").arg("--quiet");
    command.args(["--option", "Dpkg::Options::=--force-confold"]);
    command
}

/// Keeps `service` from starting now and at boot: the tests run it in their own namespaces only.
fn mask(service: &str) -> Result<()> {
    let unit = Path::new(UNITS).join(format!("{service}.service"));
    if unit.is_symlink() || unit.exists() {
        return Ok(());
    }
    say(&format!("$ ln -s /dev/null {}   (`systemctl unmask {service}` undoes it)", unit.display()));
    std::fs::create_dir_all(UNITS)
        .and_then(|()| symlink(PathBuf::from("/dev/null"), &unit))
        .with_context(|| format!("cannot mask {}", unit.display()))
}
