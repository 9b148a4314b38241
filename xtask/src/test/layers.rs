//! The layers, each a few commands.

use std::process::Command;

use anyhow::{Result, bail};

use super::report::Tests;
use crate::command::{cargo, run, run_seeing};
use crate::setup::Purpose;
use crate::{build, kernels, tidy};

/// A layer of checks or tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Layer {
    /// The format of the sources
    Fmt,
    /// Lints, on the host and for the programs
    Clippy,
    /// The documentation builds without a warning
    Doc,
    /// The invariants of the tree
    Tidy,
    /// Tests of pure rules
    Unit,
    /// The programs in the kernel, packet by packet (root)
    Program,
    /// Real sockets in network namespaces (root)
    Network,
    /// The programs on other kernels, in QEMU (root)
    Kernels,
}

use Layer::{Clippy, Doc, Fmt, Kernels, Network, Program, Tidy, Unit};

/// Crates that build for the host; the programs build for their own target only.
const HOST: [&str; 3] = ["--workspace", "--exclude", "lb-ebpf"];
/// The environment variable with which tests do what is slow, too.
const FULL: &str = "LB_TEST_FULL";

impl Layer {
    /// Every layer, in the order in which they run: what is quick to fail comes first.
    pub(super) const ALL: [Self; 8] = [Fmt, Tidy, Clippy, Doc, Unit, Program, Network, Kernels];

    /// Its word on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Fmt => "fmt",
            Clippy => "clippy",
            Doc => "doc",
            Tidy => "tidy",
            Unit => "unit",
            Program => "program",
            Network => "network",
            Kernels => "kernels",
        }
    }

    /// Whether it loads programs or makes namespaces.
    pub(super) fn needs_root(self) -> bool {
        matches!(self, Program | Network | Kernels)
    }

    /// What must be installed for it.
    pub(super) fn purposes(self) -> &'static [Purpose] {
        match self {
            Fmt | Tidy => &[Purpose::Check],
            Clippy => &[Purpose::Build, Purpose::Check],
            Doc | Unit => &[Purpose::Build],
            Program | Kernels => &[Purpose::Build, Purpose::Lab],
            Network => &[Purpose::Build, Purpose::Lab, Purpose::Network],
        }
    }

    /// Runs it; a layer of tests counts them in `tests`.
    pub(super) fn run(self, full: bool, tests: &mut Option<Tests>) -> Result<()> {
        match self {
            Fmt => run(&mut cargo(&["fmt", "--all", "--check"])),
            Tidy => tidy::run(),
            Clippy => clippy(),
            Doc => doc(),
            Unit => run_tests(&mut unit(), full, tests),
            Program => run_tests(&mut lab_tests(&["--test", "program"]), full, tests),
            Network => {
                build::lb_ctl()?;
                run_tests(&mut lab_tests(&["--lib", "--test", "network"]), full, tests)
            }
            Kernels => count(tests, |see| kernels::run(&[], see)),
        }
    }
}

fn clippy() -> Result<()> {
    let refuse = ["--", "-D", "warnings"];
    let host = run(cargo(&["clippy", "--keep-going"]).args(HOST).arg("--all-targets").args(refuse));
    let programs = run(build::for_programs("clippy")?.args(refuse));
    both(host, programs)
}

fn doc() -> Result<()> {
    let (variable, refuse) = ("RUSTDOCFLAGS", "-D warnings");
    let host = run(cargo(&["doc", "--no-deps", "--keep-going"]).args(HOST).env(variable, refuse));
    let programs = run(build::for_programs("doc")?.arg("--no-deps").env(variable, refuse));
    both(host, programs)
}

/// What failed of two checks that both ran.
fn both(first: Result<()>, second: Result<()>) -> Result<()> {
    match (first, second) {
        (Err(first), Err(second)) => bail!("{first:#}; {second:#}"),
        (first, second) => first.and(second),
    }
}

fn unit() -> Command {
    let packages = ["--package", "lb-common", "--package", "lb-ctl", "--package", "xtask"];
    let mut command = cargo(&["test", "--no-fail-fast", "--features", "lb-common/alloc"]);
    command.args(packages);
    command
}

fn lab_tests(targets: &[&str]) -> Command {
    let mut command = cargo(&["test", "--no-fail-fast", "--package", "lb-tests"]);
    command.args(targets);
    command
}

fn run_tests(command: &mut Command, full: bool, tests: &mut Option<Tests>) -> Result<()> {
    if full {
        command.env(FULL, "1");
    }
    count(tests, |see| run_seeing(command, see))
}

/// Counts the tests of `work`, which shows each line that it writes to what it is given.
fn count(tests: &mut Option<Tests>, work: impl FnOnce(&mut dyn FnMut(&str)) -> Result<()>) -> Result<()> {
    let counted = tests.insert(Tests::default());
    work(&mut |line| counted.add(line))?;
    some_ran(*tests)
}

/// A layer without a test proves nothing: a filter or a feature has swallowed them.
fn some_ran(tests: Option<Tests>) -> Result<()> {
    match tests {
        Some(Tests { passed: 0, failed: 0, .. }) => bail!("it ran no test"),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn each_layer_is_called_by_its_name() {
        assert_eq!(Layer::value_variants().len(), Layer::ALL.len());
        for layer in Layer::ALL {
            assert_eq!(Layer::from_str(layer.name(), false), Ok(layer));
        }
    }

    #[test]
    fn tests_are_counted_and_none_is_a_failure() {
        let ran = |line: &str| {
            let mut tests = None;
            let result = count(&mut tests, |see| {
                see(line);
                Ok(())
            });
            (result.map_err(|error| error.to_string()), tests.unwrap())
        };
        let (result, tests) = ran("test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured");
        assert_eq!((result, tests.passed, tests.ignored), (Ok(()), 2, 1));
        let (result, _) = ran("test result: ok. 0 passed; 0 failed; 3 ignored; 0 measured");
        assert_eq!(result, Err("it ran no test".to_owned()));
    }
}
