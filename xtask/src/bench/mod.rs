//! `cargo xtask bench`: what a packet costs, with the yardsticks of the same run, and how fast the agent is.

mod comparison;
mod document;
mod machine;
mod number;
mod row;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lb_tests::{lab, rows};
use serde_json::Value;

use crate::command::{self, cargo, say};
use crate::setup::{self, Purpose};
use crate::{build, workspace};
use row::Row;

/// The harness in the kernel.
const OBJECT: &str = "target/bpf/bench.o";
/// The document that a whole run is written to.
const DOCUMENT: &str = "docs/performance.md";

/// What `cargo xtask bench` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write a JSON array of rows to the standard output instead of a table, and all else to the standard error
    #[arg(long)]
    json: bool,
    /// Only rows with this in their name, and the yardsticks; docs/performance.md stays as it is
    #[arg(long, value_name = "PART", default_value = "")]
    rows: String,
    /// Compare the built program with that of another object, such as one kept from before a change
    #[arg(long, value_name = "OBJECT")]
    against: Option<PathBuf>,
}

/// Builds the programs, the agent and the benches, and runs these. A whole run is written to docs/performance.md.
///
/// # Errors
/// Something cannot be built, or a packet was not treated as it must be.
pub(crate) fn run(options: &Options) -> Result<()> {
    lab::require_root()?;
    if options.json {
        command::keep_stdout_clean();
    }
    let against = options.against.as_deref().map(comparison::object).transpose()?;
    setup::ensure(&[Purpose::Build, Purpose::Lab])?;
    build::programs()?;
    if let Some(object) = against {
        return compare(options, &object);
    }
    let live = is_live(&options.rows);
    if live {
        setup::ensure(&[Purpose::Bench])?;
    }
    build::lb_ctl_to_measure()?;
    command::on_signals()?;
    // Read before the run: the document says which tree was measured.
    let machine = machine::describe()?;
    let (mut values, mut rows) = (Vec::new(), Vec::new());
    measure((options, live), &mut |line| {
        ensure!(!lab::interrupted(), "interrupted");
        let value: Value = serde_json::from_str(line).with_context(|| format!("no row: {line}"))?;
        let row = Row::of(&value).with_context(|| format!("no row: {line}"))?;
        rows.push(row);
        if let (Some(row), false) = (rows.last(), options.json) {
            say(&row.shown(row::yardstick(&rows)));
        }
        values.push(value);
        Ok(())
    })?;
    row::ensure_any(&values, &options.rows)?;
    if options.rows.is_empty() {
        write(&machine, &rows)?;
    }
    if options.json {
        command::print(&serde_json::to_string_pretty(&values)?)?;
    }
    Ok(())
}

/// Measures the built program and that of `object` in turn.
fn compare(options: &Options, object: &Path) -> Result<()> {
    let mut values = Vec::new();
    command::lines(with_object("packets", &options.rows).arg("--against").arg(object), &mut |line| {
        let value: Value = serde_json::from_str(line).with_context(|| format!("no row: {line}"))?;
        if !options.json {
            say(&comparison::shown(&value).with_context(|| format!("no row: {line}"))?);
        }
        values.push(value);
        Ok(())
    })?;
    row::ensure_any(&values, &options.rows)?;
    if options.json { command::print(&serde_json::to_string_pretty(&values)?) } else { Ok(()) }
}

/// Runs the benches; `take` gets each row as a line of JSON.
fn measure((options, live): (&Options, bool), take: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
    command::lines(&mut with_object("packets", &options.rows), take)?;
    if live {
        command::lines(&mut with_object("live", &options.rows), take)?;
    }
    command::lines(&mut bench("control", &options.rows), take)
}

/// Whether a row is wanted that needs machines and other programs.
fn is_live(part: &str) -> bool {
    rows::frames().iter().chain(&rows::load()).any(|pair| pair.has(part))
}

fn with_object(name: &str, part: &str) -> Command {
    let mut command = bench(name, part);
    command.arg("--object").arg(workspace::at(OBJECT));
    command
}

/// The bench `name` of the tests' package, for rows with `part` in their name.
fn bench(name: &str, part: &str) -> Command {
    cargo(&["bench", "--package", "lb-tests", "--bench", name, "--", "--rows", part])
}

fn write(machine: &str, rows: &[Row]) -> Result<()> {
    let path = workspace::at(DOCUMENT);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = document::with_tables(&text, &document::tables(machine, rows))
        .with_context(|| format!("cannot write the tables to {}", path.display()))?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    say(&format!("{DOCUMENT}: {} rows", rows.len()));
    Ok(())
}
