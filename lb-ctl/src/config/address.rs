//! Addresses as an operator writes them: a VIP, a server with its port, a whole service.

use super::model::Protocol;
use super::ports::{Ports, PortsError, port_from_str};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The address of a VIP. Read with or without its full prefix length, written without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VipAddress(pub IpAddr);

/// The address of a server, with a port where it differs from the service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerAddress {
    /// The IP address.
    pub ip: IpAddr,
    /// Its own port; `None` means the port that the client asked for.
    pub port: Option<u16>,
}

/// VIP, ports and protocol, written `192.0.2.10:80/tcp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The VIP.
    pub vip: IpAddr,
    /// The ports.
    pub port: Ports,
    /// The protocol.
    pub protocol: Protocol,
}

/// Why a text is no address of the kind that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not an IP address.
    #[error("`{0}` is not an IP address")]
    NotIp(String),
    /// An address that cannot be one host's: unspecified, multicast, broadcast or loopback.
    #[error("{0} cannot be used: it is {1}")]
    NotOneHost(IpAddr, &'static str),
    /// A VIP with a prefix length that is not its full one.
    #[error("`{0}`: a VIP is one address, its prefix length can only be /{1}")]
    Prefix(String, u8),
    /// An IPv6 address with a port, without brackets.
    #[error("`{0}`: an IPv6 address with a port is written [ADDRESS]:PORT")]
    Brackets(String),
    /// The part after the last colon is no port.
    #[error(transparent)]
    Port(#[from] PortsError),
    /// Not `VIP:PORT/PROTOCOL`.
    #[error("`{0}` is not VIP:PORT/PROTOCOL, as in 192.0.2.10:80/tcp or [2001:db8::10]:80/tcp")]
    NotEndpoint(String),
    /// Neither TCP nor UDP.
    #[error("`{0}` is not a protocol: tcp or udp")]
    Protocol(String),
}

/// `text` as the address of one host.
///
/// # Errors
/// It is not an address, or one that no single host can have.
pub fn host(text: &str) -> Result<IpAddr, AddressError> {
    let ip: IpAddr = text.parse().map_err(|_| AddressError::NotIp(text.to_owned()))?;
    let ip = ip.to_canonical();
    match kind(ip) {
        Some(kind) => Err(AddressError::NotOneHost(ip, kind)),
        None => Ok(ip),
    }
}

fn kind(ip: IpAddr) -> Option<&'static str> {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    match () {
        () if ip.is_unspecified() => Some("unspecified"),
        () if ip.is_multicast() => Some("a multicast address"),
        () if ip.is_loopback() => Some("a loopback address"),
        () if broadcast => Some("the broadcast address"),
        () => None,
    }
}

impl FromStr for VipAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let Some((address, prefix)) = text.split_once('/') else { return host(text).map(Self) };
        let address = host(address)?;
        let full = if address.is_ipv4() { 32 } else { 128 };
        if prefix == full.to_string() {
            Ok(Self(address))
        } else {
            Err(AddressError::Prefix(text.to_owned(), full))
        }
    }
}

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (address, port) = split_port(text)?;
        Ok(Self { ip: host(address)?, port: port.map(port_from_str).transpose()? })
    }
}

/// Splits `HOST`, `HOST:PORT`, `[IPV6]:PORT` or `IPV6` into host and port.
///
/// # Errors
/// Brackets are missing or do not close.
pub fn split_port(text: &str) -> Result<(&str, Option<&str>), AddressError> {
    let unclosed = || AddressError::Brackets(text.to_owned());
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or_else(unclosed)?;
        return match rest.strip_prefix(':') {
            _ if address.parse::<Ipv6Addr>().is_err() => Err(AddressError::NotIp(address.to_owned())),
            Some(port) => Ok((address, Some(port))),
            None if rest.is_empty() => Ok((address, None)),
            None => Err(unclosed()),
        };
    }
    if text.parse::<IpAddr>().is_ok() {
        return Ok((text, None));
    }
    match text.rsplit_once(':') {
        Some((address, _)) if address.contains(':') => Err(unclosed()),
        Some((address, port)) => Ok((address, Some(port))),
        None => Ok((text, None)),
    }
}

impl FromStr for Endpoint {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let malformed = || AddressError::NotEndpoint(text.to_owned());
        let (address, protocol) = text.rsplit_once('/').ok_or_else(malformed)?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            other => return Err(AddressError::Protocol(other.to_owned())),
        };
        let (vip, port) = split_port(address)?;
        let port = port.ok_or_else(malformed)?;
        Ok(Self { vip: host(vip)?, port: port.parse()?, protocol })
    }
}

impl fmt::Display for VipAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ip, self.port) {
            (ip, None) => ip.fmt(out),
            (IpAddr::V4(v4), Some(port)) => write!(out, "{v4}:{port}"),
            (IpAddr::V6(v6), Some(port)) => write!(out, "[{v6}]:{port}"),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.vip {
            IpAddr::V4(v4) => write!(out, "{v4}:{}/{}", self.port, self.protocol),
            IpAddr::V6(v6) => write!(out, "[{v6}]:{}/{}", self.port, self.protocol),
        }
    }
}

macro_rules! text_for_serde {
    ($($name:ty),*) => {$(
        impl TryFrom<String> for $name {
            type Error = AddressError;

            fn try_from(text: String) -> Result<Self, AddressError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(address: $name) -> Self {
                address.to_string()
            }
        }
    )*};
}
text_for_serde!(VipAddress, ServerAddress);

#[cfg(test)]
mod tests {
    use super::*;

    fn roundtrip<T: FromStr<Err = AddressError> + fmt::Display>(text: &str) -> Result<String, String> {
        text.parse::<T>().map(|value| value.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_vip_is_one_address() {
        let rows = [
            ("192.0.2.10", Ok("192.0.2.10")),
            ("192.0.2.10/32", Ok("192.0.2.10")),
            ("2001:db8::10/128", Ok("2001:db8::10")),
            ("192.0.2.0/24", Err("/32")),
            ("2001:db8::/64", Err("/128")),
            ("192.0.2.256", Err("not an IP address")),
            ("www", Err("not an IP address")),
            ("0.0.0.0", Err("unspecified")),
            ("224.0.0.1", Err("multicast")),
            ("ff02::1", Err("multicast")),
            ("127.0.0.1", Err("loopback")),
            ("255.255.255.255", Err("broadcast")),
            ("", Err("not an IP address")),
        ];
        check(&rows, roundtrip::<VipAddress>);
    }

    #[test]
    fn a_server_may_have_a_port() {
        let rows = [
            ("10.0.0.12", Ok("10.0.0.12")),
            ("10.0.0.12:8080", Ok("10.0.0.12:8080")),
            ("2001:db8::1", Ok("2001:db8::1")),
            ("[2001:db8::1]", Ok("2001:db8::1")),
            ("[2001:db8::1]:8080", Ok("[2001:db8::1]:8080")),
            ("::ffff:10.0.0.1", Ok("10.0.0.1")),
            ("10.0.0.12:0", Err("0 is not a port")),
            ("10.0.0.12:70000", Err("70000 is not a port")),
            ("10.0.0.12:", Err("`` is not a port")),
            ("[2001:db8::1", Err("[ADDRESS]:PORT")),
            ("2001:db8::1:99999", Err("[ADDRESS]:PORT")),
            ("[10.0.0.1]:80", Err("not an IP address")),
        ];
        check(&rows, roundtrip::<ServerAddress>);
    }

    #[test]
    fn an_endpoint_is_vip_port_and_protocol() {
        let rows = [
            ("192.0.2.10:80/tcp", Ok("192.0.2.10:80/tcp")),
            ("[2001:db8::10]:80/tcp", Ok("[2001:db8::10]:80/tcp")),
            ("192.0.2.10:80,443/tcp", Ok("192.0.2.10:80,443/tcp")),
            ("192.0.2.10:30000-30100/udp", Ok("192.0.2.10:30000-30100/udp")),
            ("192.0.2.10:any/udp", Ok("192.0.2.10:any/udp")),
            ("192.0.2.10:80", Err("VIP:PORT/PROTOCOL")),
            ("192.0.2.10/tcp", Err("VIP:PORT/PROTOCOL")),
            ("192.0.2.10:80/sctp", Err("`sctp` is not a protocol")),
            ("192.0.2.10:0/tcp", Err("0 is not a port")),
            ("192.0.2.10:70000/tcp", Err("70000 is not a port")),
            ("web:80/tcp", Err("`web` is not an IP address")),
            ("2001:db8::10:80/tcp", Err("VIP:PORT/PROTOCOL")),
        ];
        check(&rows, roundtrip::<Endpoint>);
    }

    fn check(rows: &[(&str, Result<&str, &str>)], read: impl Fn(&str) -> Result<String, String>) {
        for (text, want) in rows {
            match (read(text), want) {
                (Ok(got), Ok(want)) => assert_eq!(&got, want, "{text}"),
                (Err(got), Err(want)) => assert!(got.contains(want), "{text}: {got}"),
                (got, want) => panic!("{text}: {got:?} instead of {want:?}"),
            }
        }
    }
}
