//! Direct routing: the packet stays as it is, but for TTL and MAC addresses.

use super::decrement_ttl;
use crate::packet::{PacketBytes, Parsed};

/// Makes the packet ready for a server on the same segment.
#[inline]
pub fn forward<P: PacketBytes + ?Sized>(packet: &mut P, parsed: &Parsed) -> Option<()> {
    decrement_ttl(packet, parsed.family)
}
