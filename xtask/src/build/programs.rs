//! How cargo is called for the BPF target, and the build of the two programs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::object;
use super::toolchain::Toolchain;
use crate::command::{cargo, run, say};
use crate::workspace;

/// The target of the programs.
const TARGET: &str = "bpfel-unknown-none";

/// The binaries of lb-ebpf; each becomes `target/bpf/NAME.o`.
const PROGRAMS: [&str; 2] = ["director", "decap"];

/// Below the workspace's target directory: a build for the host must not be invalidated by the programs' flags.
const BUILD_DIRECTORY: &str = "bpf-build";

/// Builds every program and copies the objects that changed to where lb-ctl embeds them.
pub(super) fn build(toolchain: &Toolchain) -> Result<()> {
    run(&mut bpf_cargo(toolchain, "build")?)?;
    let target = workspace::target()?;
    let built = target.join(BUILD_DIRECTORY).join(TARGET).join("bpf");
    for program in PROGRAMS {
        let object = target.join("bpf").join(format!("{program}.o"));
        let outcome = if object::publish(&built.join(program), &object)? { "new" } else { "unchanged" };
        say(&format!("target/bpf/{program}.o: {outcome}"));
    }
    Ok(())
}

/// `cargo SUBCOMMAND` for the programs.
///
/// # Errors
/// bpf-linker was not found.
pub(crate) fn bpf_cargo(toolchain: &Toolchain, subcommand: &str) -> Result<Command> {
    let linker = toolchain.linker.as_deref().context("no bpf-linker")?;
    let mut command = cargo(&workspace::root()?);
    command.args([subcommand, "--package", "lb-ebpf", "--bins", "--profile", "bpf"]);
    command.args(["-Z", "build-std=core", "--target", TARGET]);
    command.arg("--target-dir").arg(workspace::target()?.join(BUILD_DIRECTORY));
    // Stable refuses -Z and the target's unstable features otherwise.
    command.env("RUSTC_BOOTSTRAP", "1");
    command.env("CARGO_ENCODED_RUSTFLAGS", flags(linker));
    command.env("LD_LIBRARY_PATH", toolchain.library_path());
    Ok(command)
}

/// rustc's flags, in the encoding that allows for spaces in a path.
///
/// The CPU is v3 because the default one refuses the returned value of an atomic add.
fn flags(linker: &Path) -> String {
    let linker = format!("linker={}", linker.display());
    ["-C", &linker, "-C", "target-cpu=v3", "-C", "debuginfo=2", "-C", "link-arg=--btf"].join("\x1f")
}
