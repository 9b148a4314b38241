//! What building the programs needs beyond cargo itself: the right compiler, its parts, and bpf-linker.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::{find, output};
use crate::workspace;

/// The compiler that bpf-linker's LLVM belongs to.
const RUSTC: &str = "1.95";
const BPF_LINKER: &str = "0.10.3";
/// Where `setup` puts bpf-linker, below the workspace.
const TOOLS: &str = "target/tools";
/// Programs of the compiler's directory that check, and the components that hold them.
const CHECKERS: [(&str, &str); 2] = [("cargo-fmt", "rustfmt"), ("cargo-clippy", "clippy")];

/// Something that is not there, and the command that installs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// What, in a few words.
    pub(crate) what: String,
    /// The command, without a shell's quoting.
    pub(crate) install: Vec<String>,
}

impl Missing {
    fn new(what: impl Into<String>, install: &str) -> Self {
        Self { what: what.into(), install: install.split(' ').map(str::to_owned).collect() }
    }

    fn component(name: &str) -> Self {
        Self::new(format!("{name}, a component of the compiler"), &format!("rustup component add {name}"))
    }
}

/// What building the programs lacks here.
///
/// # Errors
/// The compiler cannot be asked.
pub(crate) fn missing() -> Result<Vec<Missing>> {
    let mut missing = Vec::new();
    missing.extend(wrong_compiler(&rustc(&["--version"])?));
    if !sysroot()?.join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file() {
        missing.push(Missing::component("rust-src"));
    }
    if bpf_linker().is_none() {
        let install = format!("cargo install bpf-linker --version {BPF_LINKER} --locked --root {TOOLS}");
        missing.push(Missing::new(format!("bpf-linker {BPF_LINKER}"), &install));
    }
    Ok(missing)
}

/// What formatting and linting lack here.
///
/// # Errors
/// The compiler cannot be asked.
pub(crate) fn missing_for_checks() -> Result<Vec<Missing>> {
    let binaries = sysroot()?.join("bin");
    let absent = CHECKERS.iter().filter(|(program, _)| !binaries.join(program).is_file());
    Ok(absent.map(|(_, component)| Missing::component(component)).collect())
}

/// Refuses to go on where something is missing, and names it with the command that installs it.
pub(crate) fn check() -> Result<()> {
    let missing = missing()?;
    if missing.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> =
        missing.iter().map(|Missing { what, install }| format!("  {what}: {}", install.join(" "))).collect();
    bail!(
        "cannot build the programs; missing, with what installs it:\n{}\nhint:  `cargo xtask setup` runs these",
        lines.join("\n")
    )
}

/// The bpf-linker of the right version: the workspace's own, else the one in the search path.
pub(crate) fn bpf_linker() -> Option<PathBuf> {
    let candidates = [Some(workspace::at(TOOLS).join("bin/bpf-linker")), find("bpf-linker")];
    candidates.into_iter().flatten().find(|path| is_right_linker(path))
}

/// The directory of the compiler's libraries, LLVM among them.
pub(crate) fn libraries() -> Result<PathBuf> {
    Ok(sysroot()?.join("lib"))
}

fn sysroot() -> Result<PathBuf> {
    Ok(PathBuf::from(rustc(&["--print", "sysroot"])?.trim_end()))
}

/// What the compiler of this workspace says.
fn rustc(arguments: &[&str]) -> Result<String> {
    output(Command::new("rustc").args(arguments).current_dir(workspace::root()))
}

fn wrong_compiler(version: &str) -> Option<Missing> {
    let number = version.split(' ').nth(1).unwrap_or(version);
    let right = number.strip_prefix(RUSTC).is_some_and(|rest| rest.starts_with('.'));
    let what = || format!("rustc {RUSTC} (this is {})", number.trim_end());
    (!right).then(|| Missing::new(what(), &format!("rustup toolchain install {RUSTC}.0")))
}

fn is_right_linker(path: &Path) -> bool {
    let version = Command::new(path).arg("--version").output();
    version.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).split_whitespace().nth(1) == Some(BPF_LINKER)
    })
}

/// `directory` in front of the search path of shared libraries.
pub(crate) fn library_path(directory: &Path) -> Result<std::ffi::OsString> {
    let rest = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let all = std::iter::once(directory.to_owned()).chain(env::split_paths(&rest));
    env::join_paths(all).with_context(|| format!("{} cannot be in LD_LIBRARY_PATH", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_compiler_of_the_pinned_line_is_right() {
        assert_eq!(wrong_compiler("rustc 1.95.0 (59807616e 2026-04-14)\n"), None);
        for other in ["rustc 1.94.1 (abc)", "rustc 1.950.0 (abc)", "rustc 1.96.0-nightly (abc)"] {
            let missing = wrong_compiler(other).unwrap();
            assert!(missing.what.starts_with("rustc 1.95 (this is 1.9"), "{missing:?}");
            assert_eq!(missing.install.join(" "), "rustup toolchain install 1.95.0");
        }
    }

    #[test]
    fn the_pinned_toolchain_is_the_one_that_is_asked_for() {
        let pinned = include_str!("../../rust-toolchain.toml");
        assert!(pinned.contains(&format!("channel = \"{RUSTC}.")), "{pinned}");
    }

    #[test]
    fn a_linker_that_is_not_there_is_not_right() {
        assert!(!is_right_linker(Path::new("/nonexistent/bpf-linker")));
    }
}
