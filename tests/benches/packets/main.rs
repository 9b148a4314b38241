//! The bench: nanoseconds a packet, a line of JSON for each row. `cargo xtask bench` builds what it needs and runs it.

mod against;
mod floors;
mod growth;
mod harness;
mod machine;
mod measure;
mod rows;
mod site;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Parser;
use harness::Harness;
use lb_tests::measure::{print, row};
use machine::Work;
use measure::Take;

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

/// How often a row is visited: a machine that is slow for some seconds is so for one of its visits.
const VISITS: usize = 5;
/// In names of rows that are visited once: their flows take long to open.
const LARGE: [&str; 2] = ["-64k", "-1M"];

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
    let mut kept: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for visit in 1..=VISITS {
        let wanted =
            |name: &str| wanted(name) && (visit == VISITS || !LARGE.iter().any(|part| name.contains(part)));
        self::visit(&mut harness, &object, &wanted, &mut |name, rounds| {
            let all = kept.entry(name.to_owned()).or_default();
            all.extend(rounds);
            if visit < VISITS { Ok(()) } else { print(&row(name, "ns", std::mem::take(all))?) }
        })?;
    }
    print(&work.of_others()?)
}

/// Measures every row that is wanted.
fn visit(harness: &mut Harness, object: &Path, wanted: &dyn Fn(&str) -> bool, take: Take<'_>) -> Result<()> {
    rows::yardsticks(harness, take)?;
    floors::rows(harness, object, wanted, take)?;
    rows::others(harness, wanted, take)?;
    rows::forwarding(harness, wanted, take)?;
    rows::replies(harness, wanted, take)?;
    growth::rows(harness, wanted, take)
}
