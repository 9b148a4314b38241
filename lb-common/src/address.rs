//! IP addresses as map keys and table fields: sixteen bytes for both families.

use core::cmp::Ordering;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An IPv4 or IPv6 address in network byte order; IPv4 is stored as `::ffff:a.b.c.d` (RFC 4291, section 2.5.5.2).
///
/// Two aligned words in memory, so that copies and comparisons take two instructions each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Address {
    high: u64,
    low: u64,
}

/// An address and eight bytes behind it, as a key of the kernel's tables begins or is: a word, because a processor that
/// reads back what was just stored waits when it was stored in pieces, and the kernel hashes keys by words.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct KeyWords {
    pub(crate) address: Address,
    pub(crate) end: u64,
}

/// What tells an IPv4 address, in its low half.
const V4_PREFIX: u64 = u64::from_ne_bytes([0, 0, 0xff, 0xff, 0, 0, 0, 0]);
const V4_PREFIX_MASK: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);

impl Address {
    /// The address that means "none".
    pub const UNSPECIFIED: Self = Self { high: 0, low: 0 };

    /// The address of the four bytes `v4`.
    #[inline]
    pub const fn from_v4([a, b, c, d]: [u8; 4]) -> Self {
        Self { high: 0, low: u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d]) }
    }

    /// The address of the sixteen bytes `octets`.
    #[inline]
    pub const fn from_v6(octets: [u8; 16]) -> Self {
        let ([high, low], _) = octets.as_chunks() else { return Self::UNSPECIFIED };
        Self { high: u64::from_ne_bytes(*high), low: u64::from_ne_bytes(*low) }
    }

    /// The sixteen bytes, most significant first.
    #[inline]
    pub fn octets(&self) -> [u8; 16] {
        zerocopy::transmute!(*self)
    }

    /// The last four bytes: the IPv4 address if [`Self::is_v4`].
    #[inline]
    pub const fn v4(&self) -> [u8; 4] {
        let [_, _, _, _, a, b, c, d] = self.low.to_ne_bytes();
        [a, b, c, d]
    }

    /// Whether this is an IPv4 address.
    #[inline]
    pub const fn is_v4(&self) -> bool {
        self.high == 0 && self.low & V4_PREFIX_MASK == V4_PREFIX
    }

    /// The same address with the bits of `mask`, in its low half, taken from `bits`.
    #[inline]
    #[must_use]
    pub const fn with_low_bits(&self, mask: u64, bits: u64) -> Self {
        let low = u64::from_be(self.low) & !mask | bits & mask;
        Self { high: self.high, low: low.to_be() }
    }

    /// The two halves as they lie in memory.
    #[inline]
    pub(crate) const fn in_memory(&self) -> (u64, u64) {
        (self.high, self.low)
    }

    /// The two halves as numbers.
    #[inline]
    pub const fn words(&self) -> (u64, u64) {
        (u64::from_be(self.high), u64::from_be(self.low))
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> Ordering {
        self.words().cmp(&other.words())
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::from_v4(v4.octets()),
            IpAddr::V6(v6) => Self::from_v6(v6.octets()),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        if address.is_v4() {
            Self::V4(Ipv4Addr::from(address.v4()))
        } else {
            Self::V6(Ipv6Addr::from(address.octets()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_the_round_trip() {
        for text in ["192.0.2.10", "0.0.0.0", "2001:db8::1", "fe80::1"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(IpAddr::from(Address::from(address)), address, "{text}");
        }
    }
}
