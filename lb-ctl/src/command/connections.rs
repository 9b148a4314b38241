//! `lb-ctl connections`.

use super::client;
use crate::api::ConnectionFilter;
use crate::cli::Global;
use crate::render;
use anyhow::Result;
use clap::Args;
use std::net::IpAddr;

/// Which connections.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Of this client
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
    /// Of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// On this server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// This many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: u32,
}

/// Shows connections.
///
/// # Errors
/// The agent cannot be reached.
pub async fn run(
    global: &Global,
    Arguments { client: from, service, server, limit }: Arguments,
) -> Result<()> {
    let filter = ConnectionFilter { client: from, service, server, limit: Some(limit) };
    let connections = client(global).connections(&filter).await?;
    render::show(global.json, &connections, render::connections::connections)
}
