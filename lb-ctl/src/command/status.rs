//! `lb-ctl status`. Works without an agent: then it reads what is pinned.

use super::client;
use crate::api::{Failure, InterfaceState, InterfaceStatus, Status, TableUse};
use crate::cli::Global;
use crate::config::model::Mode;
use crate::datapath::{Attached, Pinned, read_pins};
use crate::render;
use anyhow::Result;
use lb_common::maps::{MAX_CONNECTIONS, MAX_SERVERS, MAX_SERVICES};
use lb_common::server::ServerState;

/// Shows how the agent and its interfaces are.
///
/// # Errors
/// Neither the agent nor the pins can be read.
pub async fn run(global: &Global) -> Result<()> {
    let client = client(global);
    if client.is_agent_there().await? {
        return render::show(global.json, &client.status().await?, render::status::status);
    }
    let status = match read_pins(&global.bpffs) {
        Ok(Some(pinned)) => without_agent(&pinned)?,
        Ok(None) => nothing(),
        Err(error) => {
            let message = format!(
                "no agent answers at {}, and what it left cannot be read: {error}",
                client.socket().display()
            );
            let failure = Failure::failed(message);
            return Err(error.hint().map_or(failure.clone(), |hint| failure.with_hint(hint)).into());
        }
    };
    render::show(global.json, &status, render::status::status)
}

const fn nothing() -> Status {
    Status {
        agent: None,
        interfaces: Vec::new(),
        services: 0,
        servers: 0,
        servers_up: 0,
        tables: Vec::new(),
        warnings: Vec::new(),
    }
}

fn without_agent(pinned: &Pinned) -> Result<Status> {
    let kernel = pinned.reader.snapshot()?;
    let in_state = |wanted: &[ServerState]| {
        kernel
            .servers
            .values()
            .filter(|server| wanted.contains(&ServerState::from_byte(server.state)))
            .count() as u64
    };
    let mut connections = 0;
    pinned.reader.for_each_connection(|_, _| connections += 1)?;
    let services = kernel.services.len() as u64;
    let servers = in_state(&[ServerState::Up, ServerState::NoNew, ServerState::Down]);
    let table =
        |table: &str, used, limit: u32| TableUse { table: table.to_owned(), used, limit: limit.into() };
    Ok(Status {
        interfaces: pinned.attachments.iter().map(interface).collect(),
        services,
        servers,
        servers_up: in_state(&[ServerState::Up]),
        tables: vec![
            table("connections", connections, MAX_CONNECTIONS),
            table("services", services, MAX_SERVICES - 1),
            table("servers", servers, MAX_SERVERS - 1),
        ],
        ..nothing()
    })
}

fn interface((name, attached): &(String, Attached)) -> InterfaceStatus {
    InterfaceStatus {
        name: name.clone(),
        ifindex: Some(attached.ifindex),
        mode: Mode::Auto,
        state: InterfaceState::Attached,
        attached: Some(attached.mode.into()),
    }
}
