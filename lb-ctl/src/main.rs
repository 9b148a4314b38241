//! The `lb-ctl` binary.

use clap::Parser;
use lb_ctl::cli::Cli;
use lb_ctl::{command, render};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let as_json = cli.global.json;
    match command::main(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => render::error(as_json, &error),
    }
}
