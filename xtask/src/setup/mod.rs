//! `cargo xtask setup`: installs what is missing for building, the demo, the tests and the bench.
//!
//! Each command is printed before it runs. What cannot be installed is a failure, never a skip.

mod packages;
mod quiet;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::command::{run as run_command, say};
use crate::toolchain::{self, Missing};
use crate::workspace;
use packages::Package;
pub(crate) use packages::Purpose;

/// What `cargo xtask setup` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only report what is missing; exit code 1 if something is
    #[arg(long)]
    check: bool,
}

/// Installs, or with `--check` reports, everything.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.check { report() } else { ensure(&Purpose::ALL) }
}

/// Installs what is missing for `purposes`; says nothing where nothing is.
pub(crate) fn ensure(purposes: &[Purpose]) -> Result<()> {
    for missing in missing_tools(purposes)? {
        install_tool(&missing)?;
    }
    let missing = packages::missing(purposes);
    if !missing.is_empty() {
        install_packages(&missing)?;
    }
    still_missing(purposes)
}

/// Whether this process may do everything on this machine.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn missing_tools(purposes: &[Purpose]) -> Result<Vec<Missing>> {
    let mut missing = Vec::new();
    if purposes.contains(&Purpose::Build) {
        missing.extend(toolchain::missing()?);
    }
    if purposes.contains(&Purpose::Check) {
        missing.extend(toolchain::missing_for_checks()?);
    }
    Ok(missing)
}

fn install_tool(missing: &Missing) -> Result<()> {
    let Some((program, arguments)) = missing.install.split_first() else {
        bail!("nothing installs {}", missing.what);
    };
    run_command(Command::new(program).args(arguments).current_dir(workspace::root()))
}

fn install_packages(missing: &[&Package]) -> Result<()> {
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if !is_root() {
        bail!(
            "cannot install {}: apt-get needs root\nhint:  `sudo apt-get install {0}`, or run this task with sudo",
            names.join(" ")
        );
    }
    let _quiet = quiet::NoServices::begin()?;
    run_command(&mut apt_get(&["update"]))?;
    run_command(apt_get(&["install", "--yes", "--no-install-recommends"]).args(names))?;
    keep_off(&missing.iter().filter_map(|package| package.service).collect::<Vec<_>>())
}

/// Keeps services that came with packages from starting at the next boot, either.
fn keep_off(services: &[&str]) -> Result<()> {
    if services.is_empty() || !Path::new("/run/systemd/system").is_dir() {
        return Ok(());
    }
    run_command(Command::new("systemctl").arg("disable").args(services))
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn still_missing(purposes: &[Purpose]) -> Result<()> {
    let tools = missing_tools(purposes)?;
    let packages = packages::missing(purposes);
    let tools = tools.iter().map(|tool| tool.what.as_str());
    let missing: Vec<_> = tools.chain(packages.iter().map(|package| package.program)).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        bail!("still missing after the installation: {}", missing.join(", "))
    }
}

fn report() -> Result<()> {
    let tools = missing_tools(&Purpose::ALL)?;
    let packages = packages::missing(&Purpose::ALL);
    for Missing { what, install } in &tools {
        say(&format!("missing: {what}; `{}` installs it", install.join(" ")));
    }
    for Package { name, program, why, .. } in &packages {
        say(&format!("missing: {program} ({why}); `apt-get install {name}` installs it"));
    }
    match tools.len() + packages.len() {
        0 => say("nothing is missing"),
        some => bail!(
            "missing: {some} of what building, the demo, the tests and the bench need\nhint:  `cargo xtask setup` installs it"
        ),
    }
    Ok(())
}
