//! The bench: nanoseconds a packet, a line of JSON for each row. `cargo xtask bench` builds what it needs and runs it.

mod against;
mod floors;
mod growth;
mod harness;
mod machine;
mod measure;
mod rows;
mod site;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;
use harness::Harness;
use machine::Work;

/// Measures the packet path.
#[derive(Debug, Parser)]
struct Arguments {
    /// The object with the harness
    #[arg(long)]
    object: PathBuf,
    /// Only rows whose name has this in it; the yardsticks always
    #[arg(long, default_value = "")]
    rows: String,
    /// Compares with the program of this object instead
    #[arg(long, value_name = "OBJECT")]
    against: Option<PathBuf>,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let Arguments { object, rows: part, against, .. } = Arguments::parse();
    lb_tests::program::stay_on_one_cpu();
    let mut harness = Harness::load(&object)?;
    let wanted = |name: &str| name.contains(&part);
    if let Some(path) = against {
        let context = || format!("cannot compare with {}", path.display());
        let other = fs::read(&path).with_context(context)?;
        return against::rows(&mut harness, &other, &wanted).with_context(context);
    }
    let work = Work::begin()?;
    let rows = &mut |row| lb_tests::measure::print(&row);
    rows::yardsticks(&mut harness, rows)?;
    floors::rows(&mut harness, &object, &wanted, rows)?;
    rows::others(&mut harness, &wanted, rows)?;
    rows::forwarding(&mut harness, &wanted, rows)?;
    rows::replies(&mut harness, &wanted, rows)?;
    growth::rows(&mut harness, &wanted, rows)?;
    rows(work.of_others()?)
}
