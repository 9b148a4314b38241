//! The ports of a service: one, a list, a range or any.

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Ports that one service may have, unless it has any.
pub const MAX_PORTS: usize = 1_024;

/// The ports of a service. None of them is 0; a list or a range holds two to [`MAX_PORTS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Every port that no other service of the same VIP and protocol has.
    Any,
    /// One port.
    One(u16),
    /// Several ports, ascending.
    List(Vec<u16>),
    /// All ports from the first to the last.
    Range {
        /// The lowest.
        first: u16,
        /// The highest, included.
        last: u16,
    },
}

impl Ports {
    /// The port, if there is exactly one.
    pub const fn single(&self) -> Option<u16> {
        match self {
            Self::One(port) => Some(*port),
            Self::Any | Self::List(_) | Self::Range { .. } => None,
        }
    }

    /// Every port, ascending; none for [`Ports::Any`].
    pub fn iter(&self) -> PortsIter<'_> {
        match self {
            Self::Any => Box::new(std::iter::empty()),
            Self::One(port) => Box::new(std::iter::once(*port)),
            Self::List(ports) => Box::new(ports.iter().copied()),
            Self::Range { first, last } => Box::new(*first..=*last),
        }
    }

    /// The first port that both have; `Some(0)` if both are any.
    ///
    /// A service for any port and one for a port do not collide: the exact port goes first.
    pub fn shared_with(&self, other: &Self) -> Option<u16> {
        if matches!((self, other), (Self::Any, Self::Any)) {
            return Some(0);
        }
        let theirs: BTreeSet<u16> = other.iter().collect();
        self.iter().find(|port| theirs.contains(port))
    }

    fn from_list(ports: impl IntoIterator<Item = u16>) -> Result<Self, PortsError> {
        let mut unique = BTreeSet::new();
        for port in ports {
            if !unique.insert(port) {
                return Err(PortsError::Twice(port));
            }
        }
        match unique.iter().copied().collect::<Vec<_>>().as_slice() {
            [] => Err(PortsError::Empty),
            [port] => Ok(Self::One(*port)),
            ports if ports.len() > MAX_PORTS => Err(PortsError::TooMany(ports.len())),
            ports => Ok(Self::List(ports.to_vec())),
        }
    }

    fn from_range(first: u16, last: u16) -> Result<Self, PortsError> {
        let count = usize::from(last.saturating_sub(first)) + 1;
        match () {
            () if first > last => Err(PortsError::Backwards(first, last)),
            () if count > MAX_PORTS => Err(PortsError::TooMany(count)),
            () if first == last => Ok(Self::One(first)),
            () => Ok(Self::Range { first, last }),
        }
    }
}

/// The ports of a service, one by one.
pub type PortsIter<'p> = Box<dyn Iterator<Item = u16> + 'p>;

impl<'p> IntoIterator for &'p Ports {
    type Item = u16;
    type IntoIter = PortsIter<'p>;

    fn into_iter(self) -> PortsIter<'p> {
        self.iter()
    }
}

/// Why a text or value is not the ports of a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortsError {
    /// Not a port.
    #[error("{0} is not a port (1 to 65535)")]
    NotAPort(String),
    /// Neither a port nor several.
    #[error("`{0}` is not a port (1 to 65535), a list `80,443`, a range `30000-30100` or `any`")]
    NotPorts(String),
    /// No port in the list.
    #[error("the list of ports is empty")]
    Empty,
    /// A port is in the list more than once.
    #[error("port {0} is in the list twice")]
    Twice(u16),
    /// The range ends before it begins.
    #[error("the range {0}-{1} ends before it begins")]
    Backwards(u16, u16),
    /// More than [`MAX_PORTS`].
    #[error("{0} ports, at most {MAX_PORTS} are possible; `any` takes them all")]
    TooMany(usize),
}

/// The port that `number` is.
///
/// # Errors
/// It is not in 1..=65535.
pub fn port(number: i64) -> Result<u16, PortsError> {
    match u16::try_from(number) {
        Ok(port) if port != 0 => Ok(port),
        Ok(_) | Err(_) => Err(PortsError::NotAPort(number.to_string())),
    }
}

/// The port that `text` spells.
///
/// # Errors
/// It is not a number in 1..=65535.
pub fn port_from_str(text: &str) -> Result<u16, PortsError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => port(number),
        Ok(_) | Err(_) => Err(PortsError::NotAPort(format!("`{text}`"))),
    }
}

impl FromStr for Ports {
    type Err = PortsError;

    fn from_str(text: &str) -> Result<Self, PortsError> {
        if text == "any" {
            return Ok(Self::Any);
        }
        if !text.bytes().all(|byte| byte.is_ascii_digit() || b",- ".contains(&byte)) {
            return Err(PortsError::NotPorts(text.to_owned()));
        }
        if let Some((first, last)) = text.split_once('-') {
            return Self::from_range(port_from_str(first.trim())?, port_from_str(last.trim())?);
        }
        let ports: Result<Vec<u16>, _> = text.split(',').map(|part| port_from_str(part.trim())).collect();
        Self::from_list(ports?)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => out.write_str("any"),
            Self::One(port) => write!(out, "{port}"),
            Self::Range { first, last } => write!(out, "{first}-{last}"),
            Self::List(ports) => {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                out.write_str(&ports.join(","))
            }
        }
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(port) => serializer.serialize_u16(*port),
            Self::List(ports) => ports.serialize(serializer),
            Self::Any | Self::Range { .. } => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PortsVisitor)
    }
}

struct PortsVisitor;

impl<'de> Visitor<'de> for PortsVisitor {
    type Value = Ports;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a port, a list of ports, a range \"30000-30100\" or \"any\"")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Ports, E> {
        port(number).map(Ports::One).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Ports, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Ports, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Ports, A::Error> {
        let mut ports = Vec::new();
        while let Some(number) = list.next_element()? {
            ports.push(port(number).map_err(A::Error::custom)?);
        }
        Ports::from_list(ports).map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read_and_written_back() {
        let rows = [
            ("80", Ports::One(80)),
            ("80,443", Ports::List(vec![80, 443])),
            ("30000-30100", Ports::Range { first: 30_000, last: 30_100 }),
            ("1-1024", Ports::Range { first: 1, last: 1_024 }),
            ("any", Ports::Any),
        ];
        for (text, ports) in rows {
            assert_eq!(text.parse(), Ok(ports.clone()), "{text}");
            assert_eq!(ports.to_string(), text);
            let json = serde_json::to_string(&ports).unwrap();
            assert_eq!(serde_json::from_str::<Ports>(&json).unwrap(), ports, "{json}");
        }
        assert_eq!("443, 80".parse(), Ok(Ports::List(vec![80, 443])));
        assert_eq!("80-80".parse(), Ok(Ports::One(80)));
    }

    #[test]
    fn what_is_not_a_port_is_refused() {
        let rows = [
            ("0", "0 is not a port"),
            ("70000", "70000"),
            ("", "``"),
            ("+80", "`+80`"),
            ("http", "`http`"),
            ("80,80", "twice"),
            ("80,,443", "``"),
            ("90-80", "ends before"),
            ("0-10", "0"),
            ("1-1025", "1025 ports"),
            ("ANY", "`ANY`"),
        ];
        for (text, want) in rows {
            let error = text.parse::<Ports>().unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
        for json in ["0", "70000", "-1", "[]", "[80,80]", "[0]", "18446744073709551615", "true"] {
            assert!(serde_json::from_str::<Ports>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn overlap_is_found_and_any_gives_way() {
        let rows = [
            ("80", "80", Some(80)),
            ("80", "443", None),
            ("80,443", "443,8080", Some(443)),
            ("100-200", "150", Some(150)),
            ("100-200", "200-300", Some(200)),
            ("any", "80", None),
            ("any", "any", Some(0)),
        ];
        for (one, other, want) in rows {
            let (one, other): (Ports, Ports) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(one.shared_with(&other), want, "{one} {other}");
            assert_eq!(other.shared_with(&one), want, "{other} {one}");
        }
    }
}
