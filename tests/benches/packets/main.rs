//! The bench: nanoseconds a packet, a line of JSON for each row. `cargo xtask bench` builds what it needs and runs it.

mod harness;
mod rows;
mod site;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use harness::Harness;
use lb_tests::measure;

/// Measures the packet path.
#[derive(Debug, Parser)]
struct Arguments {
    /// The object with the harness
    #[arg(long)]
    object: PathBuf,
    /// Only rows whose name has this in it; the yardsticks always
    #[arg(long, default_value = "")]
    rows: String,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let Arguments { object, rows: part, .. } = Arguments::parse();
    lb_tests::program::stay_on_one_cpu();
    let mut harness = Harness::load(&object)?;
    let rows = &mut |row| measure::print(&row);
    let wanted = |name: &str| name.contains(&part);
    rows::yardsticks(&mut harness, rows)?;
    rows::others(&mut harness, &wanted, rows)?;
    rows::forwarding(&mut harness, &wanted, rows)?;
    rows::replies(&mut harness, &wanted, rows)?;
    rows::growth(&mut harness, &wanted, rows)
}
