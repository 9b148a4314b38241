//! `lb-ctl detach`.

use super::client;
use super::consent::Consent;
use crate::api::{Change, Failure};
use crate::cli::Global;
use crate::datapath::link_pin;
use anyhow::Result;
use clap::Args;
use std::path::Path;

/// Which interface.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the interface
    #[arg(value_name = "INTERFACE")]
    name: String,
    #[command(flatten)]
    consent: Consent,
}

/// Takes the program off an interface.
///
/// # Errors
/// The agent refuses or cannot be reached.
pub async fn run(global: &Global, Arguments { name, consent }: Arguments) -> Result<()> {
    let client = client(global);
    if !client.is_agent_there().await? {
        let pin = link_pin(&global.bpffs, &name);
        return Err(no_agent(&name, client.socket(), pin.exists().then_some(&*pin)).into());
    }
    consent.change(global, Change::Detach { name }).await
}

/// Only the agent changes the configuration; the pin, where there is one, is the way without it.
fn no_agent(name: &str, socket: &Path, pin: Option<&Path>) -> Failure {
    let message = format!("cannot detach from {name}: no agent answers at {}", socket.display());
    let start = "`lb-ctl agent` starts one";
    let hint = pin.map_or_else(
        || start.to_owned(),
        |pin| format!("{start}; `rm {}` takes the program off until one attaches it again", pin.display()),
    );
    Failure::failed(message).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_agent_the_pin_is_named_if_there_is_one() {
        let (socket, pin) = (Path::new("/run/lb/agent.sock"), Path::new("/sys/fs/bpf/lb/links/eth0"));
        for (pin, named) in [(None, false), (Some(pin), true)] {
            let failure = no_agent("eth0", socket, pin);
            assert_eq!(failure.message, "cannot detach from eth0: no agent answers at /run/lb/agent.sock");
            let hint = failure.hint.unwrap();
            assert!(hint.contains("`lb-ctl agent` starts one"), "{hint}");
            assert_eq!(hint.contains("`rm /sys/fs/bpf/lb/links/eth0`"), named, "{hint}");
        }
    }
}
