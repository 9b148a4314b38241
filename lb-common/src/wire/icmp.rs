//! `ICMP` (RFC 792) and `ICMPv6` (RFC 4443): the errors that a router sends.

use super::checksum::Sum;
use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// IP protocol number of ICMP.
pub const ICMP: u8 = 1;
/// IP protocol number of `ICMPv6`.
pub const ICMPV6: u8 = 58;

/// The header of an error: 8 bytes, before the quoted packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IcmpHeader {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Checksum over this header and the quoted packet, for `ICMPv6` over a pseudo-header as well.
    pub checksum: U16,
    /// Zero, or the upper half of the MTU of `ICMPv6`.
    pub unused: U16,
    /// Zero, or the MTU of the next hop.
    pub mtu: U16,
}

impl IcmpHeader {
    /// The same header with the checksum of it and of what `behind` is the sum of.
    #[inline]
    #[must_use]
    pub fn with_checksum(mut self, behind: Sum) -> Self {
        self.checksum = behind.and(&self).finish();
        self
    }
}
