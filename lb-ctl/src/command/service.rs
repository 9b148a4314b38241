//! `lb-ctl service`.

use super::client;
use super::consent::Consent;
use crate::api::{Change, ServiceSettings};
use crate::cli::Global;
use crate::config::model::{Endpoint, OnFailure, Ports, Scheduler, Service, Timeouts, Track, Udp};
use crate::render;
use anyhow::Result;
use clap::{Args, Subcommand};

/// The verbs of a service.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a service
    Add(Add),
    /// Change a service
    Set(Set),
    /// Remove a service, and the pool of its name unless another service uses it
    Remove {
        /// Name of the service
        name: String,
        /// Whether what hurts is meant
        #[command(flatten)]
        consent: Consent,
    },
    /// List the services
    List,
}

/// What describes a new service.
#[derive(Debug, Args)]
pub struct Add {
    /// Name of the service
    name: String,
    /// VIP:PORT/PROTOCOL: 192.0.2.10:80/tcp, `[2001:db8::10]:80,443/tcp`, 192.0.2.10:30000-30100/udp, 192.0.2.10:any/tcp
    #[arg(value_name = "ENDPOINT")]
    endpoint: Endpoint,
    /// Who chooses the server of a new connection
    #[arg(long, value_enum, default_value_t)]
    scheduler: Scheduler,
    /// What a client gets when no server can take it
    #[arg(long, value_enum, default_value_t)]
    on_failure: OnFailure,
    /// Whether its flows are in the table of connections: `auto` is not for mh and sh, whose slots tell the server
    #[arg(long, value_enum, default_value_t)]
    track: Track,
    /// What UDP flows of mh and sh do when their slot changes: `stable` has them tracked
    #[arg(long, value_enum, default_value_t)]
    udp: Udp,
    /// Pool of servers; may be given more than once [default: one of the service's name, which is made]
    #[arg(long = "pool", value_name = "POOL")]
    pools: Vec<String>,
    #[command(flatten)]
    consent: Consent,
}

/// What changes of a service.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("settings").required(true).multiple(true))]
pub struct Set {
    /// Name of the service
    name: String,
    /// Port, list `80,443`, range `30000-30100` or `any`
    #[arg(long, group = "settings", value_name = "PORTS")]
    port: Option<Ports>,
    /// Who chooses the server of a new connection
    #[arg(long, value_enum, group = "settings")]
    scheduler: Option<Scheduler>,
    /// What a client gets when no server can take it
    #[arg(long, value_enum, group = "settings")]
    on_failure: Option<OnFailure>,
    /// Whether its flows are in the table of connections
    #[arg(long, value_enum, group = "settings")]
    track: Option<Track>,
    /// What UDP flows of mh and sh do when their slot changes
    #[arg(long, value_enum, group = "settings")]
    udp: Option<Udp>,
    #[command(flatten)]
    consent: Consent,
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// The agent refuses or cannot be reached.
    pub async fn run(self, global: &Global) -> Result<()> {
        match self {
            Self::Add(arguments) => arguments.run(global).await,
            Self::Set(arguments) => arguments.run(global).await,
            Self::Remove { name, consent } => consent.change(global, Change::ServiceRemove { name }).await,
            Self::List => list(global).await,
        }
    }
}

impl Add {
    async fn run(self, global: &Global) -> Result<()> {
        let Self { name, endpoint, scheduler, on_failure, track, udp, pools, consent } = self;
        let Endpoint { vip, port, protocol } = endpoint;
        let pools = if pools.is_empty() { vec![name.clone()] } else { pools };
        let timeouts = Timeouts::default();
        let service =
            Service { name, vip, port, protocol, scheduler, on_failure, track, udp, timeouts, pools };
        consent.change(global, Change::ServiceAdd(service)).await
    }
}

impl Set {
    async fn run(self, global: &Global) -> Result<()> {
        let Self { name, port, scheduler, on_failure, track, udp, consent } = self;
        let settings = ServiceSettings { port, scheduler, on_failure, track, udp };
        consent.change(global, Change::ServiceSet { name, settings }).await
    }
}

async fn list(global: &Global) -> Result<()> {
    let services = client(global).services().await?;
    render::show(global.json, &services, |services| render::list::services(services))
}
