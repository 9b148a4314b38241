//! What is counted, per CPU; rates are made in user space.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Value of `REASON_COUNTERS`, one per reason and outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes of the frames as they came in.
    pub bytes: u64,
}

/// Value of `SERVICE_COUNTERS` and `SERVER_COUNTERS`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Traffic {
    /// Flows that were given a server.
    pub connections: u64,
    /// Packets from clients that were forwarded.
    pub in_packets: u64,
    /// Bytes of those frames as they came in.
    pub in_bytes: u64,
    /// Packets of nat servers that were translated back. Answers of dr and ipip servers do not pass the director.
    pub out_packets: u64,
    /// Bytes of those frames as they came in.
    pub out_bytes: u64,
}

/// Value of `SETTINGS`, one element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Settings {
    /// [`crate::maps::SCHEMA_VERSION`] of the agent that wrote the tables; 0 before the first one did.
    pub schema: u32,
    /// `SETTING_*` bits.
    pub flags: u32,
    /// One decision in this many goes to `EVENTS`; 0 is none.
    pub sample_period: u32,
    /// Answers (resets, ICMP errors) per second and CPU.
    pub answers_per_second: u32,
}
