//! `lb-ctl export`.

use super::{client, unattended};
use crate::api::Failure;
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

/// Prints the configuration. Works without an agent.
///
/// # Errors
/// Neither the agent nor the store can be read.
pub async fn run(global: &Global, Arguments { format, revision }: Arguments) -> Result<()> {
    let config = match (unattended::store(global).await?, revision) {
        (Some(store), number) => {
            number
                .map_or_else(|| store.read().map(Option::unwrap_or_default), |number| store.revision(number))
                .map_err(Failure::from)?
                .config
        }
        (None, Some(number)) => client(global).revision(number).await?,
        (None, None) => client(global).config().await?,
    };
    if global.json || format == Format::Json {
        return render::json(&config);
    }
    render::text(&to_toml(&config).context("cannot write the configuration as TOML")?)
}
