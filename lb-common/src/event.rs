//! A sampled decision, as it goes through the ring buffer.

use crate::address::Address;
use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Record of `EVENTS`: one packet and what became of it. 64 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Event {
    /// Coarse monotonic clock, nanoseconds.
    pub time: u64,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Source port.
    pub source_port: U16,
    /// Destination port.
    pub destination_port: U16,
    /// TCP or UDP.
    pub protocol: u8,
    /// Index of the verdict, see [`crate::verdict::Verdict::index`].
    pub verdict: u8,
    /// TCP flags.
    pub tcp_flags: u8,
    /// Zero.
    pub reserved: u8,
    /// Service id, or 0.
    pub service: u32,
    /// Server reference, or 0.
    pub server: u32,
    /// Length of the frame as it came in.
    pub bytes: u32,
    /// Interface it came in by.
    pub ifindex: u32,
}
