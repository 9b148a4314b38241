//! `cargo xtask demo`: the balancer's main job on real traffic, in network namespaces of this machine.
//!
//! Three servers behind one VIP, one for each forwarding method, driven with the same `lb-ctl` that an operator uses.

mod report;
mod stage;
mod traffic;

use std::io::{Write, stdout};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use lb_tests::lab;

use crate::{build, command, setup};
use stage::Stage;
use traffic::Tally;

/// What `cargo xtask demo` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Serve with real nginx instead of the server that the demo carries
    #[arg(long)]
    nginx: bool,
    /// How many requests the client makes
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    requests: u32,
    /// Leave the lab up and say how to enter it
    #[arg(long)]
    keep: bool,
    /// Remove labs that --keep left, and do nothing else
    #[arg(long, conflicts_with_all = ["keep", "nginx", "requests"])]
    clean: bool,
    /// Be the server NAME on PORT of the network that the process is in
    #[arg(long, hide = true, num_args = 2, value_names = ["NAME", "PORT"])]
    serve: Option<Vec<String>>,
}

/// Runs the demo.
///
/// # Errors
/// Something cannot be built or started, or a request was not answered.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some([name, port]) = options.serve.as_deref() {
        let port = port.parse().with_context(|| format!("{port} is not a port"))?;
        match lab::http::serve_here(name, port)? {}
    }
    lab::require_root()?;
    if options.clean {
        return clean();
    }
    if options.nginx {
        setup::ensure(&[setup::Purpose::Nginx])?;
    }
    build::all()?;
    let shown = command::on_signals().and_then(|()| show(options));
    if lab::interrupted() {
        bail!("interrupted; the lab is removed");
    }
    shown
}

fn show(options: &Options) -> Result<()> {
    let start = Instant::now();
    let out = &mut stdout().lock();
    report::picture(out)?;
    let stage = Stage::set(options.nginx, options.keep)?;
    report::preparations(out, &stage)?;
    let shown = run_on(out, &stage, options.requests);
    writeln!(out, "The demo took {:.1} s.", start.elapsed().as_secs_f32())?;
    if options.keep {
        report::how_to_enter(out, &stage.entrances()?)?;
    }
    shown
}

/// Configures the director, makes the requests and explains what was seen.
fn run_on(out: &mut impl Write, stage: &Stage, requests: u32) -> Result<()> {
    stage.configure(&mut |command, output| report::command(out, command, output))?;
    let tally = Tally::of(stage, requests)?;
    report::shares(out, stage, &tally)?;
    stage.wait_for_a_count()?;
    for command in ["status", "server list"] {
        report::command(out, command, &stage.director().lb(command)?)?;
    }
    tally.check(stage)?;
    report::explanation(out, stage, &tally)
}

fn clean() -> Result<()> {
    let removed = lab::remove_abandoned()? + lab::remove_kept()?;
    writeln!(stdout(), "labs removed: {removed}").context("cannot write to standard output")
}
