//! `lb-ctl vip`.

use super::client;
use super::consent::Consent;
use crate::api::Change;
use crate::cli::Global;
use crate::config::model::{Announce, VipAddress};
use crate::render;
use anyhow::Result;
use clap::Subcommand;

/// The verbs of a VIP. A service that names a new VIP makes it.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the VIPs
    List,
    /// Change how a VIP is announced
    Set {
        /// The VIP
        address: VipAddress,
        /// arp: the agent puts it on the interface and announces it; none: it is routed to the director
        #[arg(long, value_enum)]
        announce: Announce,
        /// Whether what hurts is meant
        #[command(flatten)]
        consent: Consent,
    },
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// The agent refuses or cannot be reached.
    pub async fn run(self, global: &Global) -> Result<()> {
        match self {
            Self::List => list(global).await,
            Self::Set { address, announce, consent } => {
                let change = Change::VipSet { address: address.0, announce: Some(announce) };
                consent.change(global, change).await
            }
        }
    }
}

async fn list(global: &Global) -> Result<()> {
    let vips = client(global).vips().await?;
    render::show(global.json, &vips, |vips| render::list::vips(vips))
}
