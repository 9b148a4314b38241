//! The layers: what each needs, and the commands that it is.

use std::fmt;
use std::process::Command;

use anyhow::{Result, bail};
use clap::ValueEnum;
use nix::unistd::Uid;

use super::tally::{self, Tally};
use super::tidy_layer;
use crate::build::{bpf_cargo, toolchain};
use crate::command::cargo;
use crate::setup::Scope;
use crate::{kernels, workspace};

/// Says to the network tests that the slow ones are wanted.
const FULL: &str = "LB_TEST_FULL";

/// One kind of check or test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Layer {
    /// The format of the sources
    Fmt,
    /// Lints, on the host and for the BPF target
    Clippy,
    /// The documentation of every crate
    Doc,
    /// The invariants that a machine can check
    Tidy,
    /// Rules, without root
    Unit,
    /// The XDP programs under `BPF_PROG_TEST_RUN`
    Program,
    /// Real sockets through namespaces
    Network,
    /// The programs on other kernels
    Kernels,
}

impl Layer {
    /// Every layer, in the order in which they run.
    pub(super) const ALL: [Self; 8] = [
        Self::Fmt,
        Self::Clippy,
        Self::Doc,
        Self::Tidy,
        Self::Unit,
        Self::Program,
        Self::Network,
        Self::Kernels,
    ];

    /// What has to be installed; the programs are built for every layer that needs anything.
    pub(super) fn needs(self) -> Option<Scope> {
        match self {
            Self::Fmt | Self::Tidy => None,
            Self::Clippy | Self::Doc | Self::Unit | Self::Program | Self::Kernels => Some(Scope::Build),
            Self::Network => Some(Scope::Tests),
        }
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// It could not be run. A check or test that failed is in the tally.
    pub(super) fn run(self, full: bool) -> Result<Tally> {
        match self {
            Self::Fmt => checks([workspace_cargo(&["fmt", "--all", "--check"])?]),
            Self::Clippy => checks(clippy()?),
            Self::Doc => checks(doc()?),
            Self::Tidy => tidy_layer(),
            Self::Unit => unit(),
            Self::Program => as_root(lab_tests("program")?),
            Self::Network if full => {
                let mut tests = lab_tests("network")?;
                tests.env(FULL, "1");
                as_root(tests)
            }
            Self::Network => as_root(lab_tests("network")?),
            Self::Kernels => kernels::run(&[]).map(Tally::passed),
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{self:?}").to_lowercase())
    }
}

fn workspace_cargo(arguments: &[&str]) -> Result<Command> {
    let mut command = cargo(&workspace::root()?);
    command.args(arguments);
    Ok(command)
}

fn checks(commands: impl IntoIterator<Item = Command>) -> Result<Tally> {
    Ok(commands.into_iter().map(|mut command| tally::check(&mut command)).sum())
}

fn clippy() -> Result<[Command; 2]> {
    let host = ["clippy", "--workspace", "--exclude", "lb-ebpf", "--all-targets", "--", "-D", "warnings"];
    let mut programs = bpf_cargo(&toolchain()?, "clippy")?;
    programs.args(["--", "-D", "warnings"]);
    Ok([workspace_cargo(&host)?, programs])
}

fn doc() -> Result<[Command; 2]> {
    let host = workspace_cargo(&["doc", "--workspace", "--exclude", "lb-ebpf", "--no-deps"])?;
    let mut programs = bpf_cargo(&toolchain()?, "doc")?;
    programs.arg("--no-deps");
    Ok([host, programs].map(|mut command| {
        command.env("RUSTDOCFLAGS", "-D warnings");
        command
    }))
}

fn unit() -> Result<Tally> {
    let crates =
        ["test", "--no-fail-fast", "--package", "lb-common", "--package", "lb-ctl", "--package", "xtask"];
    let harness = ["test", "--no-fail-fast", "--package", "lb-tests", "--lib"];
    Ok(tally::tests(&mut workspace_cargo(&crates)?) + tally::tests(&mut workspace_cargo(&harness)?))
}

fn lab_tests(target: &str) -> Result<Command> {
    workspace_cargo(&["test", "--package", "lb-tests", "--test", target])
}

fn as_root(mut tests: Command) -> Result<Tally> {
    if !Uid::effective().is_root() {
        bail!("these tests load programs and make namespaces, which takes root\nhint:  run it with sudo");
    }
    Ok(tally::tests(&mut tests))
}
