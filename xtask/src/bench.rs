//! `cargo xtask bench`: what a packet costs, with the yardsticks of the same run.

use std::io::{Write as _, stdout};

use anyhow::{Context as _, Result};
use lb_tests::lab;

use crate::command::{self, cargo};
use crate::setup::{self, Purpose};
use crate::{build, workspace};

/// The harness in the kernel.
const OBJECT: &str = "target/bpf/bench.o";

/// What `cargo xtask bench` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write a JSON array of rows to the standard output instead of a table, and all else to the standard error
    #[arg(long)]
    json: bool,
    /// Only rows with this in their name, and the yardsticks
    #[arg(long, value_name = "PART", default_value = "")]
    rows: String,
}

/// Builds the programs and the bench, and runs it on one CPU.
///
/// # Errors
/// Something cannot be built, or a packet was not treated as it must be.
pub(crate) fn run(Options { json, rows }: &Options) -> Result<()> {
    lab::require_root()?;
    if *json {
        command::keep_stdout_clean();
    }
    setup::ensure(&[Purpose::Build])?;
    build::programs()?;
    let object = workspace::at(OBJECT);
    let object = object.to_string_lossy();
    let mut bench =
        cargo(&["bench", "--package", "lb-tests", "--bench", "packets", "--", "--object", &object]);
    bench.args(["--rows", rows]);
    if !*json {
        return command::run(&mut bench);
    }
    let rows = command::output(bench.arg("--json"))?;
    stdout().write_all(rows.as_bytes()).context("cannot write the rows")
}
