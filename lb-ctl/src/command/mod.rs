//! What the commands do: one file a noun, one function a verb.

pub mod agent;
pub mod apply;
pub mod attach;
pub mod completions;
pub mod connections;
mod consent;
pub mod decap;
pub mod detach;
mod detached;
pub mod diff;
pub mod events;
pub mod export;
mod file;
pub mod history;
pub mod limits;
pub mod list;
mod log;
pub mod pool;
mod preflight;
pub mod resolve;
pub mod rollback;
pub mod server;
pub mod service;
mod start;
pub mod stats;
pub mod status;
mod unattended;
mod unit;
pub mod upgrade;
pub mod vip;

use crate::api::client::Client;
use crate::cli::{Cli, Command, Global};
use anyhow::{Context, Result};

/// Does what was typed.
///
/// # Errors
/// It cannot be done.
pub fn main(Cli { global, command }: Cli) -> Result<()> {
    match command {
        Command::Agent(arguments) => agent::run(&global, arguments),
        Command::Attach(arguments) => attach::run(&global, arguments),
        Command::Detach(arguments) => wait(detach::run(&global, arguments)),
        Command::Vip(command) => wait(command.run(&global)),
        Command::Service(command) => wait(command.run(&global)),
        Command::Server(command) => wait(command.run(&global)),
        Command::Pool(command) => wait(command.run(&global)),
        Command::Limits(command) => wait(command.run(&global)),
        Command::Decap(command) => command.run(&global),
        Command::Status => wait(status::run(&global)),
        Command::List => wait(list::run(&global)),
        Command::Stats(arguments) => wait(stats::run(&global, arguments)),
        Command::Connections(arguments) => wait(connections::run(&global, arguments)),
        Command::Events(arguments) => wait(events::run(&global, arguments)),
        Command::Apply(arguments) => wait(apply::run(&global, arguments)),
        Command::Diff(arguments) => wait(diff::run(&global, arguments)),
        Command::History => wait(history::run(&global)),
        Command::Rollback(arguments) => wait(rollback::run(&global, arguments)),
        Command::Export(arguments) => wait(export::run(&global, arguments)),
        Command::Upgrade(arguments) => upgrade::run(&global, arguments),
        Command::Completions(arguments) => completions::run(arguments),
    }
}

fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(work)
}

fn client(global: &Global) -> Client {
    Client::new(&global.socket)
}
