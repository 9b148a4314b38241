//! The `lb-ctl` binary.

use clap::Parser;
use lb_ctl::cli::Cli;
use lb_ctl::{command, render};
use std::process::ExitCode;

fn main() -> ExitCode {
    match command::main(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => render::error(&error),
    }
}
