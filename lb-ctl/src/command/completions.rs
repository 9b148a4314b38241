//! `lb-ctl completions`.

use crate::cli::Cli;
use crate::render;
use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// For which shell.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints a completion script.
///
/// # Errors
/// It cannot be printed.
pub fn run(Arguments { shell }: Arguments) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lb-ctl", &mut script);
    render::text(&String::from_utf8(script).context("the completion script is not UTF-8")?)
}
