//! `lb-ctl vip`.

use super::{change, client};
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
            Self::Set { address, announce } => {
                change(global, Change::VipSet { address: address.0, announce: Some(announce) }).await
            }
        }
    }
}

async fn list(global: &Global) -> Result<()> {
    let vips = client(global).vips().await?;
    render::show(global.json, &vips, |vips| render::list::vips(vips))
}
