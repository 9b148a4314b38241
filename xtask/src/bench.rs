//! `cargo xtask bench`: what a packet costs, with the yardsticks of the same run.

use anyhow::{Context as _, Result};
use lb_tests::lab;
use serde_json::Value;

use crate::command::{self, cargo, say};
use crate::setup::{self, Purpose};
use crate::{build, workspace};

/// The harness in the kernel.
const OBJECT: &str = "target/bpf/bench.o";
/// The yardstick that all rows are compared with.
const YARDSTICK: &str = "yardstick-tx";

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
pub(crate) fn run(Options { json, rows: part }: &Options) -> Result<()> {
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
    bench.args(["--rows", part]);
    let mut rows = Vec::new();
    let mut tx = None;
    command::lines(&mut bench, &mut |line| {
        let row: Value = serde_json::from_str(line).with_context(|| format!("no row: {line}"))?;
        if row.get("row").and_then(Value::as_str) == Some(YARDSTICK) {
            tx = row.get("median").and_then(Value::as_f64);
        }
        if !*json {
            say(&shown(&row, tx));
        }
        rows.push(row);
        Ok(())
    })?;
    if *json {
        command::print(&serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(())
}

/// A line of the table.
fn shown(row: &Value, tx: Option<f64>) -> String {
    let number = |key: &str| row.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let word = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or("?");
    let (name, unit) = (word("row"), word("unit"));
    let (median, min, max) = (number("median"), number("min"), number("max"));
    let times = tx.filter(|_| unit == "ns").map(|tx| format!("{:5.2} x", median / tx)).unwrap_or_default();
    format!("{name:32} {median:8.1} {unit:3}  {min:8.1} .. {max:8.1}  {times}")
}
