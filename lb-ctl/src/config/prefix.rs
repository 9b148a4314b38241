//! Prefixes, as `tunnel-source` has them.

use super::address::{AddressError, host};
use serde::de::value::{SeqAccessDeserializer, StrDeserializer};
use serde::de::{self, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Shortest length of a prefix: a shorter one is no single network's.
const MIN_LEN: u8 = 8;

/// A prefix of addresses of hosts; its host bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    first: IpAddr,
    len: u8,
}

/// Why a text is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Its address cannot be that of a host.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// It has no length, or one that is out of range.
    #[error("`{0}` needs a prefix length from /{MIN_LEN} to /{1}")]
    Length(String, u8),
    /// Bits behind its length are set.
    #[error("`{0}` has bits set behind its length: the prefix is {1}")]
    HostBits(String, Prefix),
}

impl Prefix {
    /// Its first address.
    pub const fn first(self) -> IpAddr {
        self.first
    }

    /// How many bits differ between its addresses.
    pub const fn host_bits(self) -> u8 {
        let full = if self.first.is_ipv4() { 32_u8 } else { 128 };
        full.saturating_sub(self.len)
    }
}

/// `ip` with its low `bits` zero.
fn without_low(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & u32::MAX.unbounded_shl(u32::from(bits))).into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & u128::MAX.unbounded_shl(u32::from(bits))).into(),
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, len) = text.split_once('/').unwrap_or((text, ""));
        let address = host(address)?;
        let full = if address.is_ipv4() { 32 } else { 128 };
        let len = len.parse().ok().filter(|len| (MIN_LEN..=full).contains(len));
        let len = len.ok_or_else(|| PrefixError::Length(text.to_owned(), full))?;
        let first = without_low(address, full.saturating_sub(len));
        if first == address {
            Ok(Self { first, len })
        } else {
            Err(PrefixError::HostBits(text.to_owned(), Self { first, len }))
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.first, self.len)
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Reads one prefix or a list of them.
pub(super) fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Prefix>, D::Error> {
    deserializer.deserialize_any(OneOrMore)
}

struct OneOrMore;

impl<'de> Visitor<'de> for OneOrMore {
    type Value = Vec<Prefix>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a prefix or a list of prefixes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<Prefix>, E> {
        let text: StrDeserializer<'_, E> = text.into_deserializer();
        Prefix::deserialize(text).map(|prefix| vec![prefix])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<Prefix>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_no_host_bits_and_a_length_in_range() {
        let rows = [
            ("10.9.8.0/24", Ok(8)),
            ("10.9.8.1/32", Ok(0)),
            ("10.0.0.0/8", Ok(24)),
            ("2001:db8:9::/64", Ok(64)),
            ("2001:db8:9::1/128", Ok(0)),
            ("10.9.8.1/24", Err("`10.9.8.1/24` has bits set behind its length: the prefix is 10.9.8.0/24")),
            ("10.9.8.0", Err("`10.9.8.0` needs a prefix length from /8 to /32")),
            ("10.9.8.0/33", Err("`10.9.8.0/33` needs a prefix length from /8 to /32")),
            ("8.0.0.0/7", Err("`8.0.0.0/7` needs a prefix length from /8 to /32")),
            ("2001:db8::/129", Err("`2001:db8::/129` needs a prefix length from /8 to /128")),
        ];
        for (text, want) in rows {
            let prefix = text.parse::<Prefix>();
            assert_eq!(
                prefix.as_ref().map(|prefix| prefix.host_bits()).map_err(ToString::to_string),
                want.map_err(str::to_owned)
            );
            if let Ok(prefix) = prefix {
                assert_eq!(prefix.to_string(), text);
            }
        }
        for text in ["224.0.0.0/8", "127.0.0.0/8", "0.0.0.0/8", "ten/8"] {
            assert!(matches!(text.parse::<Prefix>(), Err(PrefixError::Address(_))), "{text}");
        }
    }
}
