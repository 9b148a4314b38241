//! `lb-ctl status`. Works without an agent: then it reads what is pinned.

use super::client;
use crate::agent::limits;
use crate::api::client::Client;
use crate::api::{Failure, InterfaceState, InterfaceStatus, Status, Warning};
use crate::cli::Global;
use crate::config::model::Mode;
use crate::datapath::{Attached, Pinned, read_pins};
use crate::pid_file::{self, AGENT};
use crate::render;
use anyhow::Result;
use lb_common::server::{Server, ServerState};
use std::collections::BTreeMap;

/// Shows how the agent and its interfaces are.
///
/// # Errors
/// Neither the agent nor the pins can be read.
pub async fn run(global: &Global) -> Result<()> {
    let client = client(global);
    let silent = if client.is_agent_there().await? {
        match client.status().await {
            Ok(status) => return render::show(global.json, &status, render::status::status),
            Err(failure) => Some(silent(global, &client, failure).await?),
        }
    } else {
        // It may run and be out of reach: with another socket, or without the one that it made.
        let runs = pid_file::is_taken(&AGENT, &global.state_dir);
        runs.then(|| pid_file::last_holder(&AGENT, &global.state_dir)).flatten()
    };
    let mut status = match read_pins(&global.bpffs) {
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
    status.silent_agent = silent;
    if silent.is_some() || !status.tables.is_empty() {
        status.warnings.push(unsupervised(global, silent));
    }
    render::show(global.json, &status, render::status::status)
}

/// The process id of the agent that does not answer; the failure itself if there is none to name.
async fn silent(global: &Global, client: &Client, failure: Failure) -> Result<u32, Failure> {
    client.agent_pid().await.or_else(|| pid_file::last_holder(&AGENT, &global.state_dir)).ok_or(failure)
}

fn unsupervised(global: &Global, silent: Option<u32>) -> Warning {
    let log = global.state_dir.join("agent.log");
    let (message, hint) = match silent {
        Some(pid) => (
            format!("the agent (pid {pid}) does not answer at {}", global.socket.display()),
            format!(
                "`--socket` or LB_SOCKET name its own socket; its log is {}; `kill {pid}`, then `lb-ctl attach \
                 INTERFACE`, starts another",
                log.display()
            ),
        ),
        None => (
            "no agent runs: nothing is supervised, servers and routes are as it left them".to_owned(),
            format!(
                "`lb-ctl attach INTERFACE` or a service manager with `lb-ctl agent` starts one; the log of the last is {}",
                log.display()
            ),
        ),
    };
    Warning { message, hint: Some(hint) }
}

const fn nothing() -> Status {
    Status {
        agent: None,
        silent_agent: None,
        unsupervised_since: None,
        interfaces: Vec::new(),
        revision: None,
        orders: BTreeMap::new(),
        services: 0,
        servers: 0,
        servers_up: 0,
        tables: Vec::new(),
        slots: None,
        drift: None,
        warnings: Vec::new(),
    }
}

fn without_agent(pinned: &Pinned) -> Result<Status> {
    let kernel = pinned.reader.snapshot()?;
    let mut connections = 0;
    pinned.reader.for_each_connection(|_, _| connections += 1)?;
    let services = kernel.services.len() as u64;
    let (servers, servers_up) = servers(&kernel.servers);
    let tables = limits::table_uses(&kernel, connections, None);
    let heartbeat = kernel.settings.heartbeat;
    Ok(Status {
        interfaces: pinned.attachments.iter().map(interface).collect(),
        services,
        servers,
        servers_up,
        unsupervised_since: Some(heartbeat).filter(|since| *since != 0),
        warnings: limits::warnings(&tables),
        tables,
        ..nothing()
    })
}

/// How many there are, and how many of them can be given a connection: in state up, with a next hop that is known.
fn servers(all: &BTreeMap<u32, Server>) -> (u64, u64) {
    all.values().filter(|server| ServerState::from_byte(server.state) != ServerState::Gone).fold(
        (0, 0),
        |(there, up), server| {
            let takes =
                ServerState::from_byte(server.state) == ServerState::Up && server.next_hop.mac != [0; 6];
            (there + 1, up + u64::from(takes))
        },
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::server::NextHop;

    #[test]
    fn a_server_is_up_in_that_state_with_a_known_next_hop() {
        let known = NextHop { mac: [2; 6], device: 1 };
        let rows = [
            (ServerState::Up, known, (1, 1)),
            (ServerState::Up, NextHop { mac: [0; 6], device: 1 }, (1, 0)),
            (ServerState::NoNew, known, (1, 0)),
            (ServerState::Down, known, (1, 0)),
            (ServerState::Gone, known, (0, 0)),
        ];
        for (state, next_hop, want) in rows {
            let server = Server { state: state as u8, next_hop, ..Server::default() };
            assert_eq!(servers(&[(1, server)].into()), want, "{state:?} {next_hop:?}");
        }
    }
}
