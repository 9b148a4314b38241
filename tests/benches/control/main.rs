//! The bench of the control plane: a release agent in a lab of its own, and what fills its tables. A line of JSON for
//! each row.

mod agent;
mod apply;
mod down;
mod drain;
mod maglev;
mod memory;

use anyhow::{Context as _, Result};
use clap::Parser;
use lb_tests::measure::{self, Row};

use agent::Agent;

/// Measures the agent.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only rows whose name has this in it
    #[arg(long, default_value = "")]
    rows: String,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// The rows that take an agent.
const OF_AGENT: [&[&str]; 3] = [&memory::START, &drain::ROWS, &apply::ROWS];

fn main() -> Result<()> {
    let Arguments { rows: part, .. } = Arguments::parse();
    ctrlc::set_handler(lb_tests::lab::interrupt).context("cannot handle signals")?;
    let wanted = |name: &str| name.contains(&part);
    let rows = &mut |row: Row| if wanted(&row.name) { measure::print(&row) } else { Ok(()) };
    maglev::rows(&wanted, rows)?;
    if wanted(down::ROW) {
        down::rows(rows)?;
    }
    let [start, drain, apply] = OF_AGENT.map(|names| names.iter().any(|name| wanted(name)));
    if !start && !drain && !apply {
        return Ok(());
    }
    let agent = Agent::start()?;
    if start {
        memory::start(&agent, rows)?;
    }
    if drain {
        drain::rows(&agent, rows)?;
    }
    if apply {
        apply::rows(&agent, rows)?;
    }
    Ok(())
}
