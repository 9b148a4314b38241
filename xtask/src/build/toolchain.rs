//! The tools that build the programs: which are there, and what installs the others.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::command::{find, output};
use crate::workspace;

/// The release of rustc that `rust-toolchain.toml` names: bpf-linker links with the LLVM inside it.
const RUST: &str = "1.95";

/// The last line of bpf-linker that needs no LLVM beside rustc's own.
const LINKER: &str = "0.10.3";

/// What the tools are wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Building the programs.
    Programs,
    /// Also checking format and lints.
    Checks,
}

/// A part of the toolchain, the file below the sysroot that proves it, and what wants it.
const COMPONENTS: [(&str, &str, Purpose); 3] = [
    ("rust-src", "lib/rustlib/src/rust/library/core/src/lib.rs", Purpose::Programs),
    ("clippy", "bin/clippy-driver", Purpose::Checks),
    ("rustfmt", "bin/rustfmt", Purpose::Checks),
];

/// The toolchain as it was found.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// What `rustc --version` said.
    rustc: String,
    /// Where rustc's libraries and sources are.
    pub(crate) sysroot: PathBuf,
    /// The bpf-linker of the right version.
    pub(crate) linker: Option<PathBuf>,
}

/// A tool that is not there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// The tool in words.
    pub(crate) what: String,
    /// The command that installs it.
    pub(crate) install: Vec<String>,
}

impl Toolchain {
    /// Looks at the toolchain of this workspace.
    ///
    /// # Errors
    /// There is no rustc.
    pub(crate) fn look() -> Result<Self> {
        let root = workspace::root()?;
        let rustc = |arguments: &[&str]| {
            output(Command::new("rustc").current_dir(&root).args(arguments))
                .context("cannot ask rustc\nhint:  rustup from https://rustup.rs installs it")
        };
        let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim());
        Ok(Self { rustc: rustc(&["--version"])?.trim().to_owned(), linker: linker(&sysroot)?, sysroot })
    }

    /// What is not there for `purpose`.
    pub(crate) fn missing(&self, purpose: Purpose) -> Vec<Missing> {
        let mut missing = Vec::new();
        if !is_version(&self.rustc, RUST) {
            let what = format!("rustc {RUST}, found {}", self.rustc);
            missing.push(Missing { what, install: words("rustup toolchain install 1.95.0") });
        }
        for (component, proof, wanted) in COMPONENTS {
            if (wanted == Purpose::Programs || purpose == wanted) && !self.sysroot.join(proof).is_file() {
                let install = words(&format!("rustup component add {component}"));
                missing.push(Missing { what: format!("{component} of {}", self.rustc), install });
            }
        }
        if self.linker.is_none() {
            let install = format!("cargo install bpf-linker --version {LINKER} --locked --root target/tools");
            missing.push(Missing { what: format!("bpf-linker {LINKER}"), install: words(&install) });
        }
        missing
    }

    /// The sysroot's libraries, in front of what LD_LIBRARY_PATH names: bpf-linker loads LLVM from there.
    pub(crate) fn library_path(&self) -> String {
        let own = self.sysroot.join("lib").display().to_string();
        match std::env::var("LD_LIBRARY_PATH") {
            Ok(others) if !others.is_empty() => format!("{own}:{others}"),
            _ => own,
        }
    }
}

/// The bpf-linker of `target/tools`, else the one on the search path, if it has the right version.
fn linker(sysroot: &Path) -> Result<Option<PathBuf>> {
    let own = workspace::target()?.join("tools/bin/bpf-linker");
    let candidates = [Some(own), find("bpf-linker")];
    Ok(candidates.into_iter().flatten().find(|linker| is_our_linker(linker, sysroot)))
}

fn is_our_linker(linker: &Path, sysroot: &Path) -> bool {
    let mut command = Command::new(linker);
    command.arg("--version").env("LD_LIBRARY_PATH", sysroot.join("lib")).stderr(Stdio::null());
    // One that does not start is as good as none.
    command.output().is_ok_and(|output| is_version(&String::from_utf8_lossy(&output.stdout), LINKER))
}

/// Whether `program version ...` says `wanted`, in as many parts as that has.
fn is_version(said: &str, wanted: &str) -> bool {
    let Some(version) = said.split_whitespace().nth(1) else { return false };
    version.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn words(command: &str) -> Vec<String> {
    command.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain(rustc: &str, linker: Option<&str>) -> Toolchain {
        let sysroot = PathBuf::from("/no-such-sysroot");
        Toolchain { rustc: rustc.to_owned(), sysroot, linker: linker.map(PathBuf::from) }
    }

    #[test]
    fn a_version_is_compared_part_by_part() {
        let rows = [
            ("rustc 1.95.0 (59807616e 2026-04-14)", "1.95", true),
            ("rustc 1.950.0 (59807616e 2026-04-14)", "1.95", false),
            ("rustc 1.96.0-nightly (abc 2026-01-01)", "1.95", false),
            ("bpf-linker 0.10.3", "0.10.3", true),
            ("bpf-linker 0.10.30", "0.10.3", false),
            ("", "1.95", false),
        ];
        for (said, wanted, expected) in rows {
            assert_eq!(is_version(said, wanted), expected, "{said}");
        }
    }

    #[test]
    fn every_missing_tool_is_named_with_its_command() {
        let missing = toolchain("rustc 1.94.1 (x)", None).missing(Purpose::Checks);
        let installs: Vec<String> = missing.iter().map(|tool| tool.install.join(" ")).collect();
        assert_eq!(
            installs,
            [
                "rustup toolchain install 1.95.0",
                "rustup component add rust-src",
                "rustup component add clippy",
                "rustup component add rustfmt",
                "cargo install bpf-linker --version 0.10.3 --locked --root target/tools",
            ]
        );
    }

    #[test]
    fn building_needs_neither_clippy_nor_rustfmt() {
        let missing = toolchain("rustc 1.95.0 (x)", Some("/bpf-linker")).missing(Purpose::Programs);
        let whats: Vec<&str> = missing.iter().map(|tool| tool.what.as_str()).collect();
        assert_eq!(whats, ["rust-src of rustc 1.95.0 (x)"]);
    }
}
