//! `cargo xtask bench`: what a packet costs, with the yardsticks of the same run.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lb_tests::{lab, rows};
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

/// Builds the programs and the benches, and runs them on one CPU.
///
/// # Errors
/// Something cannot be built, or a packet was not treated as it must be.
pub(crate) fn run(Options { json, rows: part }: &Options) -> Result<()> {
    lab::require_root()?;
    if *json {
        command::keep_stdout_clean();
    }
    let live = rows::frames().iter().chain(&rows::load()).any(|pair| pair.has(part));
    build(live)?;
    command::on_signals()?;
    let mut shown = Vec::new();
    let mut tx = None;
    for bench in if live { &["packets", "live"][..] } else { &["packets"] } {
        command::lines(&mut started(bench, part), &mut |line| {
            ensure!(!lab::interrupted(), "interrupted");
            let row: Value = serde_json::from_str(line).with_context(|| format!("no row: {line}"))?;
            if row.get("row").and_then(Value::as_str) == Some(YARDSTICK) {
                tx = row.get("median").and_then(Value::as_f64);
            }
            if !*json {
                say(&line_of(&row, tx));
            }
            shown.push(row);
            Ok(())
        })?;
    }
    if *json {
        command::print(&serde_json::to_string_pretty(&shown)?)?;
    }
    Ok(())
}

/// Builds the programs, and what the rows with machines need.
fn build(live: bool) -> Result<()> {
    setup::ensure(&[Purpose::Build])?;
    build::programs()?;
    if live {
        setup::ensure(&[Purpose::Bench])?;
        build::lb_ctl_to_measure()?;
    }
    Ok(())
}

fn started(bench: &str, part: &str) -> Command {
    let object = workspace::at(OBJECT);
    let mut command = cargo(&["bench", "--package", "lb-tests", "--bench", bench, "--", "--object"]);
    command.arg(object).args(["--rows", part]);
    command
}

/// A line of the table.
fn line_of(row: &Value, tx: Option<f64>) -> String {
    let number = |key: &str| row.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let word = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or("?");
    let (name, unit) = (word("row"), word("unit"));
    let (median, min, max) = (number("median"), number("min"), number("max"));
    let times = tx.filter(|_| unit == "ns").map(|tx| format!("{:5.2} x", median / tx)).unwrap_or_default();
    let [median, min, max] = [median, min, max].map(short);
    format!("{name:32} {median:>8} {unit:6}  {min:>8} .. {max:>8}  {times}")
}

/// A number in few letters: millions have no use for tenths.
fn short(number: f64) -> String {
    if number < 100_000.0 { format!("{number:.1}") } else { format!("{number:.0}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_rows_of_the_harness_are_multiples_of_its_yardstick() {
        let row = |unit: &str, median: f64| {
            let row = json!({"row": "x", "unit": unit, "median": median, "min": 1.0, "max": 2.0, "runs": 3});
            line_of(&row, Some(10.0)).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(row("ns", 25.0), ["x", "25.0", "ns", "1.0", "..", "2.0", "2.50", "x"]);
        assert_eq!(row("cpu-ns", 25.0), ["x", "25.0", "cpu-ns", "1.0", "..", "2.0"]);
        assert_eq!(row("pps", 1_234_567.8), ["x", "1234568", "pps", "1.0", "..", "2.0"]);
    }
}
