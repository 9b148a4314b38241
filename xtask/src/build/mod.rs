//! Building: the XDP programs for the BPF target, and the `lb-ctl` that embeds them.

mod object;
mod programs;
pub(crate) mod toolchain;

use anyhow::{Result, bail};

use crate::command::{cargo, run, say};
use crate::{setup, workspace};
pub(crate) use programs::bpf_cargo;
use toolchain::Toolchain;

/// Everything that the demo needs: what is missing is installed, then the programs and `lb-ctl` are built.
pub(crate) fn all() -> Result<()> {
    setup::ensure(setup::Scope::Demo)?;
    ebpf()?;
    run(cargo(&workspace::root()?).args(["build", "--package", "lb-ctl"]))
}

/// Builds the XDP programs and puts the objects into `target/bpf`.
///
/// # Errors
/// A tool is missing (the error names each with the command that installs it), or a program does not build.
pub(crate) fn ebpf() -> Result<()> {
    programs::build(&toolchain()?)
}

/// The tools, all of which are there.
pub(crate) fn toolchain() -> Result<Toolchain> {
    let toolchain = Toolchain::look()?;
    let missing = toolchain.missing(toolchain::Purpose::Programs);
    if missing.is_empty() {
        return Ok(toolchain);
    }
    for tool in &missing {
        say(&format!("missing: {}\n   hint: {}", tool.what, tool.install.join(" ")));
    }
    bail!("cannot build the programs: {} missing\nhint:  `cargo xtask setup` installs them", missing.len())
}
