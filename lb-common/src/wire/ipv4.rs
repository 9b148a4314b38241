//! IPv4 (RFC 791), without options: packets with options are not ours.

use super::checksum::Sum;
use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The header: 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv4Header {
    /// Version in the upper half, header length in 32-bit words in the lower.
    pub version_ihl: u8,
    /// DSCP in the upper six bits, ECN in the lower two.
    pub tos: u8,
    /// Length of header and payload in bytes.
    pub total_len: U16,
    /// Identification.
    pub id: U16,
    /// Flags in the upper three bits, fragment offset below.
    pub fragment: U16,
    /// Time to live.
    pub ttl: u8,
    /// What follows.
    pub protocol: u8,
    /// Checksum of the header.
    pub checksum: U16,
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
}

/// The don't-fragment bit of `fragment`.
pub const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS_AND_OFFSET: u16 = 0x3fff;
/// IP protocol number of IPv4 in IP.
pub const IPIP: u8 = 4;

impl Ipv4Header {
    /// `version_ihl` of a header without options.
    pub const WITHOUT_OPTIONS: u8 = 0x45;

    /// Whether this is a fragment, first or later.
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        self.fragment.get() & MORE_FRAGMENTS_AND_OFFSET != 0
    }

    /// Whether routers must not fragment it.
    #[inline]
    pub const fn dont_fragment(&self) -> bool {
        self.fragment.get() & DONT_FRAGMENT != 0
    }

    /// Takes one from the TTL, which is above 1. The word of it and the protocol is `0x100` less, so the checksum that much
    /// more (RFC 1141, with the carry of RFC 1624).
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the carry was added")]
    pub const fn hop(&mut self) {
        self.ttl = self.ttl.wrapping_sub(1);
        let more = self.checksum.get() as u32 + 0x100;
        self.checksum = U16::new((more + (more >= 0xffff) as u32) as u16);
    }

    /// The same header with its checksum computed.
    #[inline]
    #[must_use]
    pub fn with_checksum(mut self) -> Self {
        self.checksum = U16::ZERO;
        self.checksum = Sum::NONE.and(&self).finish();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_gives_what_a_recount_gives() {
        let header = |id, ttl| {
            Ipv4Header {
                version_ihl: Ipv4Header::WITHOUT_OPTIONS,
                tos: 0,
                total_len: U16::new(40),
                id: U16::new(id),
                fragment: U16::ZERO,
                ttl,
                protocol: 6,
                checksum: U16::ZERO,
                source: [198, 51, 100, 7],
                destination: [192, 0, 2, 10],
            }
            .with_checksum()
        };
        for (id, ttl) in (0..=u16::MAX).flat_map(|id| [2, 3, 64, 128, 255].map(|ttl| (id, ttl))) {
            let mut after = header(id, ttl);
            after.hop();
            assert_eq!(after, header(id, ttl - 1), "id {id} ttl {ttl}");
        }
    }
}
