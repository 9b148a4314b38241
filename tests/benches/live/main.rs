//! The bench with machines: frames that the kernel sends, and a real client's load, through the director as an operator sets
//! it up and through what else there is. `cargo xtask bench` builds what it needs and runs it.
//!
//! Client, balancer and server share one CPU. Each pair of rows has machines of its own.

mod clock;
mod frames;
mod generator;
mod load;
mod middle;
mod road;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;
use lb_tests::rows::{self, Pair};
use lb_tests::{lab, measure};

/// Measures what goes through the director between machines.
#[derive(Debug, Parser)]
struct Arguments {
    /// The object with the generator
    #[arg(long)]
    object: PathBuf,
    /// Only rows whose name has this in it
    #[arg(long, default_value = "")]
    rows: String,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let Arguments { object, rows: part, .. } = Arguments::parse();
    // Every wait fails then, and the machines go on the way out.
    ctrlc::set_handler(lab::interrupt).context("cannot handle signals")?;
    lb_tests::program::stay_on_one_cpu();
    go_first();
    let print = &mut |row: measure::Row| if row.name.contains(&part) { measure::print(&row) } else { Ok(()) };
    let wanted = |pairs: Vec<Pair>| pairs.into_iter().filter(|pair| pair.has(&part)).collect::<Vec<_>>();
    frames::measure(&object, &wanted(rows::frames()), print)?;
    load::measure(&wanted(rows::load()), &part, print)
}

/// Gives this process and what it starts more of the CPU than what else runs there; without that, rows are noisier.
fn go_first() {
    // SAFETY: the call takes three numbers.
    let _set = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
}
