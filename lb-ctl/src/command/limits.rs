//! `lb-ctl limits`.

use super::client;
use super::consent::Consent;
use crate::api::{Change, TableUse};
use crate::cli::Global;
use crate::config::limits::{Limited, Limits};
use crate::render;
use anyhow::Result;
use clap::{Args, Subcommand};

/// The verbs of limits.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List use and limit of each table
    List,
    /// Change limits while traffic flows
    Set {
        /// What is set
        #[command(flatten)]
        settings: Settings,
        /// Whether what hurts is meant
        #[command(flatten)]
        consent: Consent,
    },
}

/// What is set; the others stay as they are.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct Settings {
    /// Connections; one by nat takes two
    #[arg(long, value_name = "NUMBER")]
    connections: Option<u32>,
    /// Services
    #[arg(long, value_name = "NUMBER")]
    services: Option<u32>,
    /// Servers, each counted once per service that uses it
    #[arg(long, value_name = "NUMBER")]
    servers: Option<u32>,
    /// Slots of all services together
    #[arg(long, value_name = "NUMBER")]
    slots: Option<u32>,
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// The agent refuses or cannot be reached.
    pub async fn run(self, global: &Global) -> Result<()> {
        match self {
            Self::List => list(global).await,
            Self::Set { settings: Settings { connections, services, servers, slots }, consent } => {
                let limits = Limits { connections, services, servers, slots };
                consent.change(global, Change::LimitsSet(limits)).await
            }
        }
    }
}

async fn list(global: &Global) -> Result<()> {
    let limited = |entry: &TableUse| Limited::ALL.iter().any(|what| what.word() == entry.table);
    let tables: Vec<_> = client(global).status().await?.tables.into_iter().filter(limited).collect();
    render::show(global.json, &tables, |tables| render::status::tables(tables))
}
