//! `lb-ctl export`.

use super::client;
use crate::cli::Global;
use crate::config::parse::to_toml;
use crate::render;
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

/// In which form.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Format of the output; --json is the same as json
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Number of an earlier revision, as `history` lists them [default: the one in force]
    #[arg(long, value_name = "NUMBER")]
    revision: Option<u64>,
}

/// A format of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// As `apply` reads it.
    #[default]
    Toml,
    /// As the API has it.
    Json,
}

/// Prints the configuration.
///
/// # Errors
/// The agent cannot be reached.
pub async fn run(global: &Global, Arguments { format, revision }: Arguments) -> Result<()> {
    let client = client(global);
    let config = match revision {
        Some(number) => client.revision(number).await?,
        None => client.config().await?,
    };
    if global.json || format == Format::Json {
        return render::json(&config);
    }
    render::text(&to_toml(&config).context("cannot write the configuration as TOML")?)
}
