//! `lb-ctl pool`.

use super::client;
use super::consent::Consent;
use crate::api::Change;
use crate::cli::Global;
use crate::render;
use anyhow::Result;
use clap::Subcommand;

/// The verbs of a pool.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add an empty pool
    Add {
        /// Name of the pool
        name: String,
        /// Whether what hurts is meant
        #[command(flatten)]
        consent: Consent,
    },
    /// Set which pools a service uses
    Set {
        /// Name of the service
        service: String,
        /// Names of the pools, in order
        #[arg(required = true)]
        pools: Vec<String>,
        /// Whether what hurts is meant
        #[command(flatten)]
        consent: Consent,
    },
    /// Remove a pool that no service uses, with its servers
    Remove {
        /// Name of the pool
        name: String,
        /// Whether what hurts is meant
        #[command(flatten)]
        consent: Consent,
    },
    /// List the pools
    List,
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// The agent refuses or cannot be reached.
    pub async fn run(self, global: &Global) -> Result<()> {
        match self {
            Self::Add { name, consent } => consent.change(global, Change::PoolAdd { name }).await,
            Self::Set { service, pools, consent } => {
                consent.change(global, Change::PoolSet { service, pools }).await
            }
            Self::Remove { name, consent } => consent.change(global, Change::PoolRemove { name }).await,
            Self::List => list(global).await,
        }
    }
}

async fn list(global: &Global) -> Result<()> {
    let pools = client(global).pools().await?;
    render::show(global.json, &pools, |pools| render::list::pools(pools))
}
