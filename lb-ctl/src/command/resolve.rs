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
    if !is_host_name(name) {
        return Err(format!("`{name}` is neither an IP address nor a host name"));
    }
    let mut addresses =
        (name, 0).to_socket_addrs().map_err(|error| format!("cannot resolve {name}: {error}"))?;
    let address = addresses.next().ok_or_else(|| format!("cannot resolve {name}: it has no address"))?;
    parse_host(&address.ip().to_string()).map_err(|error| error.to_string())
}

fn is_host_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-' || c == '_';
    let is_numeric = name.chars().all(|c| c.is_ascii_digit() || c == '.');
    !is_numeric && name.chars().all(is_plain)
}

/// The address that `text` spells or names, with its port.
///
/// # Errors
/// It is no address and cannot be resolved, or its port is none.
pub fn server_address(text: &str) -> Result<ServerAddress, Failure> {
    let message = |error: &dyn ToString| format!("cannot use server address {text}: {}", error.to_string());
    let name = match text.parse() {
        Err(AddressError::NotIp(name)) => name,
        other => return other.map_err(|error| Failure::usage(message(&error))),
    };
    let port = split_port(text).ok().and_then(|(_, port)| port);
    let port = port.map(port_from_str).transpose().map_err(|error| Failure::usage(message(&error)))?;
    let ip = host(&name).map_err(|error| {
        let failure = if is_host_name(&name) { Failure::failed } else { Failure::usage };
        failure(message(&error))
    })?;
    Ok(ServerAddress { ip, port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::FailureKind::{Failed, Usage};

    #[test]
    fn what_is_neither_address_nor_name_is_wrong_usage() {
        let rows = [
            ("10.0.0.256", Usage, "neither an IP address nor a host name"),
            ("10.0.0", Usage, "neither an IP address nor a host name"),
            ("", Usage, "neither an IP address nor a host name"),
            ("pc 1", Usage, "neither an IP address nor a host name"),
            ("127.0.0.1", Usage, "loopback"),
            ("10.0.0.1:0", Usage, "0 is not a port"),
            ("host.invalid:0", Usage, "0 is not a port"),
            ("[fe80", Usage, "[ADDRESS]:PORT"),
            ("no-such-host.invalid", Failed, "cannot resolve no-such-host.invalid"),
        ];
        for (text, kind, want) in rows {
            let failure = server_address(text).unwrap_err();
            assert_eq!(failure.kind, kind, "{text}: {failure}");
            assert!(failure.message.contains(want), "{text}: {failure}");
        }
    }

    #[test]
    fn an_address_needs_no_resolver() {
        for text in ["10.0.0.1", "10.0.0.1:8080", "[2001:db8::1]:8080", "2001:db8::1"] {
            assert_eq!(server_address(text).unwrap().to_string(), text);
        }
    }
}
