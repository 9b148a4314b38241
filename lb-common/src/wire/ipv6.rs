//! IPv6 (RFC 8200), without extension headers: packets with them are not ours.

use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// IP protocol number of IPv6 in IP.
pub const IPV6_IN_IP: u8 = 41;

/// The header: 40 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv6Header {
    /// Version (4 bits), traffic class (8), flow label (20).
    pub version_class_label: U32,
    /// Length of what follows this header, in bytes.
    pub payload_len: U16,
    /// What follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
}

impl Ipv6Header {
    /// The version field: 6.
    #[inline]
    pub const fn version(&self) -> u32 {
        self.version_class_label.get() >> 28
    }

    /// The traffic class: DSCP in the upper six bits, ECN in the lower two.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "eight bits are meant")]
    pub const fn traffic_class(&self) -> u8 {
        (self.version_class_label.get() >> 20) as u8
    }

    /// Takes one from the hop limit, which is above 1.
    #[inline]
    pub const fn hop(&mut self) {
        self.hop_limit = self.hop_limit.wrapping_sub(1);
    }

    /// The first word of a header with this traffic class and flow label 0.
    #[inline]
    pub const fn first_word(traffic_class: u8) -> U32 {
        U32::new(6 << 28 | (traffic_class as u32) << 20)
    }
}
