//! The command line: what can be typed. What it does is in [`crate::command`].

use crate::command::{
    agent, apply, attach, completions, connections, decap, detach, diff, events, export, limits, pool,
    rollback, server, service, stats, upgrade, vip,
};
use clap::{Args, Parser, Subcommand};
use std::env;
use std::path::PathBuf;

/// The usual socket of the agent.
pub const SOCKET: &str = "/run/lb/agent.sock";
/// The usual directory for pins.
pub const BPFFS: &str = "/sys/fs/bpf/lb";
/// The usual directory of the stored configuration.
pub const STATE_DIR: &str = "/var/lib/lb";

/// Layer-4 load balancer that forwards in the kernel, by XDP
#[derive(Debug, Parser)]
#[command(name = "lb-ctl", version, arg_required_else_help = true)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Print JSON, with stable field names
    #[arg(long, global = true)]
    pub json: bool,
    /// Socket of the agent
    #[arg(help = "Socket of the agent [env: LB_SOCKET]", long, global = true, value_name = "PATH", default_value_os_t = path("LB_SOCKET", SOCKET))]
    pub socket: PathBuf,
    /// Directory for pinned programs and maps, on a BPF file system
    #[arg(help = "Directory for pinned programs and maps, on a BPF file system [env: LB_BPFFS]", long, global = true, value_name = "PATH", default_value_os_t = path("LB_BPFFS", BPFFS))]
    pub bpffs: PathBuf,
    /// Directory of the stored configuration
    #[arg(help = "Directory of the stored configuration [env: LB_STATE_DIR]", long, global = true, value_name = "PATH", default_value_os_t = path("LB_STATE_DIR", STATE_DIR))]
    pub state_dir: PathBuf,
}

/// The path in an environment variable, or the usual one. Not by clap's `env`, which makes usage lines name the option.
fn path(variable: &str, usual: &str) -> PathBuf {
    env::var_os(variable).filter(|path| !path.is_empty()).map_or_else(|| usual.into(), PathBuf::from)
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Attach to an interface; starts the unit or an agent if none runs
    Attach(attach::Arguments),
    /// Stop forwarding on an interface
    Detach(detach::Arguments),
    /// Run the agent in this process
    Agent(agent::Arguments),
    /// Addresses that clients connect to
    #[command(subcommand)]
    Vip(vip::Command),
    /// Services: VIP, port and protocol
    #[command(subcommand)]
    Service(service::Command),
    /// Servers of a pool
    #[command(subcommand)]
    Server(server::Command),
    /// Pools of servers
    #[command(subcommand)]
    Pool(pool::Command),
    /// How much the tables have room for
    #[command(subcommand)]
    Limits(limits::Command),
    /// Tunnel end on a server
    #[command(subcommand)]
    Decap(decap::Command),
    /// Show how the agent and its interfaces are
    Status,
    /// Show every service with its servers
    List,
    /// Show counters
    Stats(stats::Arguments),
    /// Show connections
    Connections(connections::Arguments),
    /// Show what happened, and follow what happens
    ///
    /// Shows what the agent remembers, a thousand events at most, then what happens, until interrupted. When the agent
    /// ends it says so on the standard error, waits for the next one and goes on with what that one tells.
    Events(events::Arguments),
    /// Replace the configuration by that of a file
    Apply(apply::Arguments),
    /// Show what a file would change, or what the kernel's tables lack
    Diff(diff::Arguments),
    /// Show the revisions of the configuration
    History,
    /// Make the configuration that of an earlier revision again
    Rollback(rollback::Arguments),
    /// Print the configuration
    Export(export::Arguments),
    /// Put this version's program in the place of another one; no agent may run
    Upgrade(upgrade::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
}

#[cfg(test)]
mod tests;
