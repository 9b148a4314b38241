//! `lb-ctl decap`: the tunnel end on a server. Works without an agent; the program stays when the command ends.

use crate::api::{DecapInterface, DecapStatus, ReasonCount};
use crate::cli::Global;
use crate::config::model::{Mode, VipAddress};
use crate::datapath::Attached;
use crate::datapath::decap::{self, Decap};
use crate::render;
use anyhow::Result;
use clap::Subcommand;

/// The verbs of the decapsulation program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take IP-in-IP packets for these VIPs out of their tunnel
    Attach {
        /// Name of the interface
        #[arg(value_name = "INTERFACE")]
        name: String,
        /// VIP whose packets are taken; may be given more than once
        #[arg(long = "vip", value_name = "ADDRESS", required = true, num_args = 1..)]
        vips: Vec<VipAddress>,
        /// auto: native where the driver can, else generic
        #[arg(long, value_enum, default_value_t)]
        mode: Mode,
    },
    /// Stop it on an interface
    Detach {
        /// Name of the interface
        #[arg(value_name = "INTERFACE")]
        name: String,
    },
    /// List interfaces, VIPs and counters
    List,
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// There is no such interface, no privileges, or the kernel refuses.
    pub fn run(self, global: &Global) -> Result<()> {
        match self {
            Self::Attach { name, vips, mode } => {
                let vips: Vec<_> = vips.into_iter().map(|vip| vip.0).collect();
                decap::attach(&global.bpffs, &name, mode, &vips)?;
            }
            Self::Detach { name } => decap::detach(&global.bpffs, &name)?,
            Self::List => {}
        }
        let status = decap::list(&global.bpffs)?.map(status).unwrap_or_default();
        render::show(global.json, &status, render::decap::status)
    }
}

fn status(decap: Decap) -> DecapStatus {
    let interface = |(name, attached): (String, Attached)| DecapInterface {
        name,
        ifindex: attached.ifindex,
        attached: attached.mode.into(),
    };
    let counted = decap.reasons.into_iter().filter(|(.., count)| count.packets != 0);
    DecapStatus {
        interfaces: decap.attachments.into_iter().map(interface).collect(),
        vips: decap.vips,
        addresses: decap.addresses,
        reasons: counted.map(|(reason, answered, count)| ReasonCount::new(reason, answered, count)).collect(),
    }
}
