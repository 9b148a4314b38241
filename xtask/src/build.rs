//! Building the programs, and `lb-ctl` that embeds them.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::{cargo, run, say};
use crate::setup::{self, Purpose};
use crate::{toolchain, workspace};

const TARGET: &str = "bpfel-unknown-none";
/// A target directory of its own: the flags differ, and a lock on the common one would stop every other build.
const BUILD_DIRECTORY: &str = "target/bpf-build";
/// Where the build script of lb-ctl looks.
const OBJECT_DIRECTORY: &str = "target/bpf";
const PROGRAMS: [&str; 4] = ["director", "decap", "redirects", "bench"];

/// Builds everything that the demo runs, after installing what is missing for it.
pub(crate) fn all() -> Result<()> {
    setup::ensure(&[Purpose::Build, Purpose::Lab])?;
    programs()?;
    lb_ctl()
}

/// Builds `lb-ctl`, beside the executable of this task.
pub(crate) fn lb_ctl() -> Result<()> {
    run(&mut cargo(&["build", "--package", "lb-ctl"]))
}

/// Builds `lb-ctl` as it is installed, beside the benches.
pub(crate) fn lb_ctl_to_measure() -> Result<()> {
    run(&mut cargo(&["build", "--release", "--package", "lb-ctl"]))
}

/// Builds the programs and puts them where `lb-ctl` embeds them.
pub(crate) fn programs() -> Result<()> {
    toolchain::check()?;
    run(&mut for_programs("build")?)?;
    let directory = workspace::at(OBJECT_DIRECTORY);
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let built = workspace::at(BUILD_DIRECTORY).join(TARGET).join("bpf");
    for program in PROGRAMS {
        let (source, object) = (built.join(program), directory.join(format!("{program}.o")));
        let changed = place(&source, &object)
            .with_context(|| format!("cannot copy {} to {}", source.display(), object.display()))?;
        say(&format!("{OBJECT_DIRECTORY}/{program}.o: {}", if changed { "new" } else { "unchanged" }));
    }
    Ok(())
}

/// `cargo VERB` for the programs, with the flags without which they do not link or load.
pub(crate) fn for_programs(verb: &str) -> Result<Command> {
    let mut command = cargo(&[verb, "--package", "lb-ebpf", "--bins", "--profile", "bpf"]);
    command.args(["-Z", "build-std=core", "--target", TARGET, "--target-dir", BUILD_DIRECTORY]);
    let linker = toolchain::bpf_linker().context("bpf-linker is not there")?;
    let flags = [
        &format!("-Clinker={}", linker.display()),
        // The default CPU refuses the returned value of an atomic add.
        "-Ctarget-cpu=v3",
        // Headers have no alignment: without it each number in one is read and written byte by byte. The kernel allows it
        // where the processor does (`CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS`, on x86-64 and arm64 at least).
        "-Clink-arg=--cpu-features=+allows-misaligned-mem-access",
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
    ];
    // build-std is not stable; this lets the stable compiler do it, so that one toolchain is enough.
    command.env("RUSTC_BOOTSTRAP", "1");
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    // bpf-linker links with the LLVM of the compiler.
    command.env("LD_LIBRARY_PATH", toolchain::library_path(&toolchain::libraries()?)?);
    Ok(command)
}

/// Copies `source` to `object` where it differs, in one step; gives whether it did.
///
/// An object that did not change keeps its time, so that lb-ctl is not built again.
fn place(source: &Path, object: &Path) -> io::Result<bool> {
    let new = fs::read(source)?;
    if fs::read(object).is_ok_and(|old| old == new) {
        return Ok(false);
    }
    let young = object.with_extension(format!("{}.new", std::process::id()));
    fs::write(&young, new)?;
    fs::rename(&young, object)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_placed_once_and_again_only_when_it_changed() {
        let directory = std::env::temp_dir().join(format!("xtask-place-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (source, object) = (directory.join("director"), directory.join("director.o"));
        assert!(place(&source, &object).is_err());
        let placed: Vec<bool> = ["one", "one", "two"]
            .iter()
            .map(|content| {
                fs::write(&source, content).unwrap();
                place(&source, &object).unwrap()
            })
            .collect();
        assert_eq!(placed, [true, false, true]);
        assert_eq!(fs::read(&object).unwrap(), b"two");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
        fs::remove_dir_all(&directory).unwrap();
    }
}
