//! `lb-ctl server`.

use super::consent::Consent;
use super::{client, resolve};
use crate::api::{Change, ServerSettings};
use crate::cli::Global;
use crate::config::model::{Method, Server};
use crate::render;
use anyhow::Result;
use clap::{Args, Subcommand};

/// The verbs of a server.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a server to a pool
    Add(Add),
    /// Change a server
    Set(Set),
    /// Remove a server; its connections are reset, so drain it first
    Remove(Named),
    /// Take a server out of rotation: it keeps its connections and gets no new ones
    Drain(Named),
    /// End a drain or a temporary weight
    Undrain(Named),
    /// List the servers of a pool, or of all
    List {
        /// Name of the pool
        pool: Option<String>,
    },
}

/// What describes a new server.
#[derive(Debug, Args)]
pub struct Add {
    /// Name of the pool; a service's own pool has its name
    pool: String,
    /// Address or host name; with nat a port may follow: 10.0.0.12:8080, `[2001:db8::1]:8080`
    address: String,
    /// How packets reach it
    #[arg(long, value_enum, default_value_t)]
    method: Method,
    /// Share of new connections, 0 to 65535; 0 takes none
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    weight: u16,
    /// Name of the server [default: its address]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    consent: Consent,
}

/// What changes of a server.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("settings").required(true).multiple(true))]
pub struct Set {
    #[command(flatten)]
    named: Named,
    /// Share of new connections, 0 to 65535; 0 takes none
    #[arg(long, group = "settings", allow_negative_numbers = true)]
    weight: Option<u16>,
    /// How packets reach it
    #[arg(long, value_enum, group = "settings")]
    method: Option<Method>,
    /// Order the weight beside the configuration: it survives `apply` and `rollback` until `undrain`
    #[arg(long, requires = "weight", conflicts_with = "method")]
    temporary: bool,
}

/// Which server.
#[derive(Debug, Args)]
pub struct Named {
    /// Name of the pool
    pool: String,
    /// Name of the server, or its address
    server: String,
    #[command(flatten)]
    consent: Consent,
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// The agent refuses or cannot be reached, or a host name has no address.
    pub async fn run(self, global: &Global) -> Result<()> {
        match self {
            Self::Add(arguments) => {
                let consent = arguments.consent.clone();
                consent.change(global, add(arguments)?).await
            }
            Self::Set(Set { named, weight, method, temporary }) => {
                let settings = ServerSettings { weight, method, temporary };
                named.change(global, |pool, server| Change::ServerSet { pool, server, settings }).await
            }
            Self::Remove(named) => {
                named.change(global, |pool, server| Change::ServerRemove { pool, server }).await
            }
            Self::Drain(named) => {
                named.change(global, |pool, server| Change::ServerDrain { pool, server }).await
            }
            Self::Undrain(named) => {
                named.change(global, |pool, server| Change::ServerUndrain { pool, server }).await
            }
            Self::List { pool } => list(global, pool.as_deref()).await,
        }
    }
}

impl Named {
    async fn change(self, global: &Global, change: impl FnOnce(String, String) -> Change) -> Result<()> {
        self.consent.change(global, change(self.pool, self.server)).await
    }
}

fn add(Add { pool, address: text, method, weight, name, consent: _ }: Add) -> Result<Change> {
    let address = resolve::server_address(&text)?;
    // An address is named as it is written back, a host name as it was typed.
    let default =
        || if text.parse().is_ok_and(|typed| address == typed) { address.to_string() } else { text.clone() };
    let name = name.unwrap_or_else(default);
    Ok(Change::ServerAdd { pool, server: Server { name, address, method, weight } })
}

async fn list(global: &Global, pool: Option<&str>) -> Result<()> {
    let client = client(global);
    let servers = client.servers(pool).await?;
    let warning = super::list::unattached(global, &client).await?;
    render::show(global.json, &servers, |servers| render::list::servers(servers) + &warning)
}
