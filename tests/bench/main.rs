//! The bench: nanoseconds a packet. `cargo xtask bench` builds what it needs and runs it.

mod harness;
mod rows;
mod site;
mod stats;

use std::io::{Write as _, stdout};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;
use harness::Harness;
use rows::Row;
use serde_json::json;

/// Measures the packet path.
#[derive(Debug, Parser)]
struct Arguments {
    /// The object with the harness
    #[arg(long)]
    object: PathBuf,
    /// Write a JSON array instead of a table
    #[arg(long)]
    json: bool,
    /// Only rows whose name has this in it; the yardsticks always
    #[arg(long, default_value = "")]
    rows: String,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let Arguments { object, json, rows: part, .. } = Arguments::parse();
    lb_tests::program::stay_on_one_cpu();
    let mut harness = Harness::load(&object)?;
    let mut all: Vec<Row> = Vec::new();
    let mut tx = 0.0;
    let mut sink = |row: Row| {
        if row.name == "yardstick-tx" {
            tx = row.summary.median;
        }
        if !json {
            show(&row, tx);
        }
        all.push(row);
    };
    let wanted = |name: &str| name.contains(&part);
    rows::yardsticks(&mut harness, &mut sink)?;
    rows::others(&mut harness, &wanted, &mut sink)?;
    rows::forwarding(&mut harness, &wanted, &mut sink)?;
    rows::replies(&mut harness, &wanted, &mut sink)?;
    rows::growth(&mut harness, &wanted, &mut sink)?;
    if json {
        let rows: Vec<_> = all.iter().map(object_of).collect();
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&rows)?).context("cannot write")?;
    }
    Ok(())
}

fn show(row: &Row, tx: f64) {
    let Row { name, summary } = row;
    let times = summary.median / tx;
    let line = format!(
        "{name:28} {:8.1} ns  {:8.1} .. {:8.1}  {times:5.2} x",
        summary.median, summary.min, summary.max
    );
    writeln!(stdout(), "{line}").ok();
}

fn object_of(Row { name, summary }: &Row) -> serde_json::Value {
    json!({
        "row": name, "unit": "ns", "median": summary.median, "min": summary.min, "max": summary.max,
        "runs": summary.runs,
    })
}
