//! `lb-ctl decap`: the tunnel end on a server. Works without an agent; the program stays when the command ends.

use super::detached::{self, Started};
use super::{log, wait};
use crate::agent::{ownership, privileges};
use crate::api::{DecapInterface, DecapStatus, Failure, ReasonCount, Warning};
use crate::cli::Global;
use crate::config::model::{Mode, VipAddress};
use crate::datapath::DatapathError;
use crate::datapath::decap::{self, Decap};
use crate::decap::run::{self, Options};
use crate::decap::store::{Recorded, Store};
use crate::decap::turn;
use crate::pid_file::{self, DECAP};
use crate::render;
use anyhow::Result;
use clap::{Args, Subcommand};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The verbs of the decapsulation program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take IP-in-IP packets for these VIPs out of their tunnel
    Attach(Attach),
    /// Stop it on an interface, and forget the interface
    Detach {
        /// Name of the interface
        #[arg(value_name = "INTERFACE")]
        name: String,
    },
    /// List interfaces, VIPs and counters
    List,
    /// Keep persistent interfaces attached, in this process
    Run,
}

/// What is attached, and how.
#[derive(Debug, Args)]
pub struct Attach {
    /// Name of the interface
    #[arg(value_name = "INTERFACE")]
    name: String,
    /// VIP whose packets are taken; may be given more than once
    #[arg(long = "vip", value_name = "ADDRESS", required = true, num_args = 1..)]
    vips: Vec<VipAddress>,
    /// auto: native where the driver can, else generic
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Attach it again after a reboot, or when the interface was made anew; starts the process that does
    #[arg(long)]
    persist: bool,
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// There is no such interface, no privileges, or the kernel refuses.
    pub fn run(self, global: &Global) -> Result<()> {
        match self {
            Self::Attach(arguments) => wait(attach(global, arguments))?,
            Self::Detach { name } => wait(detach(global, &name))?,
            Self::List => {}
            Self::Run => return supervise(global),
        }
        let decap = decap::list(&global.bpffs)?;
        render::show(global.json, &status(global, decap), render::decap::status)
    }
}

/// Records first: what a crash leaves undone, the supervisor does. A record that cannot be followed is taken back.
async fn attach(global: &Global, Attach { name, vips, mode, persist }: Attach) -> Result<()> {
    let vips: Vec<IpAddr> = vips.into_iter().map(|vip| vip.0).collect();
    let store = Store::at(&global.state_dir);
    if persist {
        store.create()?;
    }
    let turn = turn::take(&global.state_dir).await?;
    let before = store.load()?;
    let recorded = persist || before.interfaces.contains_key(&name);
    let after = if recorded { before.with(&name, mode, &vips) } else { before.clone() };
    if after != before {
        store.save(&after)?;
    }
    if let Err(error) = decap::attach(&global.bpffs, &name, mode, &vips) {
        if after != before {
            store.save(&before)?;
        }
        return Err(error.into());
    }
    drop(turn);
    if persist
        && let Some(started) = start(global).await?
        && !global.json
    {
        render::text(&render::decap::started(started.pid, &started.log, &name))?;
    }
    Ok(())
}

/// Forgets first, so that the supervisor does not attach it again.
async fn detach(global: &Global, name: &str) -> Result<()> {
    let store = Store::at(&global.state_dir);
    let _turn = turn::take(&global.state_dir).await?;
    let before = store.load()?;
    let after = before.without(name);
    if after != before {
        store.save(&after)?;
    }
    match decap::detach(&global.bpffs, name) {
        // A recorded interface that is gone has no link.
        Err(DatapathError::NotAttached { .. }) if after != before => Ok(()),
        detached => Ok(detached?),
    }
}

/// Starts the process that supervises; `None` if one runs.
async fn start(global: &Global) -> Result<Option<Started>> {
    let state_dir = &global.state_dir;
    if pid_file::is_taken(&DECAP, state_dir) {
        return Ok(None);
    }
    let arguments = ["decap".into(), "run".into()].into_iter().chain(detached::paths(global));
    let mut started = detached::start(&DECAP, state_dir, "decap.log", arguments)?;
    let pid = started.pid;
    match started.until(async || Ok(pid_file::last_holder(&DECAP, state_dir) == Some(pid))).await {
        Ok(()) => Ok(Some(started)),
        // Another command was faster.
        Err(_) if pid_file::is_taken(&DECAP, state_dir) => Ok(None),
        Err(error) => {
            started.stop().await?;
            Err(started.last_error().map_or(error, Into::into))
        }
    }
}

fn supervise(global: &Global) -> Result<()> {
    let detached = detached::leave_session()?;
    log::start(false, None)?;
    privileges::check(privileges::DECAP, "cannot supervise the decapsulation program")?;
    ownership::check_state(&global.state_dir)?;
    privileges::give_up_others(privileges::DECAP)?;
    let (bpffs, state_dir) = (global.bpffs.clone(), global.state_dir.clone());
    wait(run::run(Options { bpffs, state_dir, detached }))
}

fn status(global: &Global, decap: Option<Decap>) -> DecapStatus {
    let (recorded, unusable) = match Store::at(&global.state_dir).load() {
        Ok(recorded) => (recorded, None),
        Err(failure) => (Recorded::default(), Some(failure)),
    };
    let running = pid_file::is_taken(&DECAP, &global.state_dir);
    let supervisor = running.then(|| pid_file::last_holder(&DECAP, &global.state_dir)).flatten();
    let mut warnings: Vec<_> = unusable.map(warning).into_iter().collect();
    warnings.extend((!running && !recorded.interfaces.is_empty()).then(unsupervised));
    let decap = decap.unwrap_or_default();
    let attached: BTreeMap<_, _> = decap.attachments.into_iter().collect();
    let names = attached.keys().chain(recorded.interfaces.keys()).collect::<std::collections::BTreeSet<_>>();
    let interface = |name: &String| DecapInterface {
        name: name.clone(),
        ifindex: attached.get(name).map(|attached| attached.ifindex),
        attached: attached.get(name).map(|attached| attached.mode.into()),
        persistent: recorded.interfaces.contains_key(name),
    };
    let counted = decap.reasons.into_iter().filter(|(.., count)| count.packets != 0);
    DecapStatus {
        interfaces: names.into_iter().map(interface).collect(),
        supervisor,
        vips: decap.vips,
        addresses: decap.addresses,
        reasons: counted.map(|(reason, answered, count)| ReasonCount::new(reason, answered, count)).collect(),
        warnings,
    }
}

fn warning(failure: Failure) -> Warning {
    Warning { message: failure.message, hint: failure.hint }
}

fn unsupervised() -> Warning {
    Warning {
        message: "nothing supervises the persistent interfaces: they are not attached again".to_owned(),
        hint: Some(
            "`lb-ctl decap attach` with --persist starts it, or a service manager with `lb-ctl decap run`"
                .to_owned(),
        ),
    }
}
