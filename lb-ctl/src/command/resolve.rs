//! Host names become addresses once, when a server is added or a file applied.

use crate::api::Failure;
use crate::config::address::{AddressError, host as parse_host, split_port};
use crate::config::model::ServerAddress;
use crate::config::ports::port_from_str;
use std::net::{IpAddr, ToSocketAddrs};

/// The first address that the resolver gives for the host `name`.
///
/// # Errors
/// It has none, in words.
pub fn host(name: &str) -> Result<IpAddr, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-' || c == '_';
    let numeric = name.chars().all(|c| c.is_ascii_digit() || c == '.');
    if name.is_empty() || numeric || !name.chars().all(plain) {
        return Err(format!("`{name}` is neither an IP address nor a host name"));
    }
    let mut addresses =
        (name, 0).to_socket_addrs().map_err(|error| format!("cannot resolve {name}: {error}"))?;
    let address = addresses.next().ok_or_else(|| format!("cannot resolve {name}: it has no address"))?;
    parse_host(&address.ip().to_string()).map_err(|error| error.to_string())
}

/// The address that `text` spells or names, with its port.
///
/// # Errors
/// It is no address and cannot be resolved, or its port is none.
pub fn server_address(text: &str) -> Result<ServerAddress, Failure> {
    let usage = |error: &dyn ToString| {
        Failure::usage(format!("cannot use server address {text}: {}", error.to_string()))
    };
    let name = match text.parse() {
        Err(AddressError::NotIp(name)) => name,
        other => return other.map_err(|error| usage(&error)),
    };
    let port = split_port(text).ok().and_then(|(_, port)| port);
    let port = port.map(port_from_str).transpose().map_err(|error| usage(&error))?;
    Ok(ServerAddress { ip: host(&name).map_err(|error| usage(&error))?, port })
}
