//! Services as the program sees them: the key that finds one and the immutable view that describes it.

use crate::address::{Address, KeyWords};
use crate::scheduler::slot_index;
use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Key of `SERVICE_KEYS`: 24 bytes. The value is a service id (`u32`).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ServiceKey {
    /// The VIP.
    pub address: Address,
    /// The port; 0 is the entry of a service for `any` port.
    pub port: U16,
    /// TCP or UDP.
    pub protocol: u8,
    zero: u8,
    zeros: u32,
}

impl ServiceKey {
    /// The key of `address`, `port` and `protocol`.
    #[inline]
    pub const fn new(address: Address, port: U16, protocol: u8) -> Self {
        let port: u16 = zerocopy::transmute!(port);
        let end = u16::from_le(port) as u64 | (protocol as u64) << 16;
        zerocopy::transmute!(KeyWords { address, end: end.to_le() })
    }
}

/// How a view turns a new flow into a slot. Stored as a byte; every byte has a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Pick {
    /// By hash of the whole flow.
    Flow = 0,
    /// By hash of the client's address.
    Client = 1,
    /// By the service's turn in `SEQUENCE`.
    Sequence = 2,
}

impl Pick {
    /// The pick that `byte` stands for; an unknown byte is [`Pick::Flow`].
    #[inline]
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Client,
            2 => Self::Sequence,
            _ => Self::Flow,
        }
    }

    /// Whether a hash is of the whole flow, and not of its client alone.
    #[inline]
    pub const fn is_of_flow(self) -> bool {
        !matches!(self, Self::Client)
    }
}

/// A run of slots in the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SlotRange {
    /// Index of the first slot.
    pub first: u32,
    /// Number of slots; 0 means none.
    pub len: u32,
}

/// Idle time after which a connection may be forgotten, in milliseconds.
///
/// Defaults follow Linux IPVS (`tcp_timeouts` in `net/netfilter/ipvs/ip_vs_proto_tcp.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Timeouts {
    /// TCP after the handshake.
    pub established: u32,
    /// TCP between the SYN and the first packet after it.
    pub syn: u32,
    /// TCP after a FIN.
    pub fin: u32,
    /// TCP after FIN both ways, or a reset.
    pub closed: u32,
    /// UDP.
    pub udp: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { established: 900_000, syn: 60_000, fin: 120_000, closed: 10_000, udp: 300_000 }
    }
}

/// Flag of a view: what cannot be forwarded is dropped without an answer to the client.
pub const FLAG_SILENT: u8 = 1;
/// Flag of a view: a known connection stays on a server that is down, instead of being reset.
pub const FLAG_KEEP_ON_DOWN: u8 = 2;
/// Flag of a view: its slots tell the server of a flow, and flows are remembered only where a slot asks for it.
pub const FLAG_UNTRACKED: u8 = 4;

/// Value of `VIEWS`: all that the program must know of a service. Immutable while a service points to it.
///
/// It has the VIP, which `SERVICE_INDEX` leaves to be compared, and the protocol, because a look-up in `SERVICE_KEYS` may return
/// another key's value while elements are reused; what does not fit is not this service's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct View {
    /// The VIP.
    pub address: Address,
    /// The current slots.
    pub slots: SlotRange,
    /// The slots before the last change of size, hash or scheduler, of a service that was not tracked then: for one idle
    /// timeout they tell the server of a connection that is open and not in the table.
    pub old_slots: SlotRange,
    /// Idle times.
    pub timeouts: Timeouts,
    /// The port if the service has exactly one, else 0.
    pub port: U16,
    /// TCP or UDP.
    pub protocol: u8,
    /// A [`Pick`].
    pub pick: u8,
    /// `FLAG_*` bits.
    pub flags: u8,
    /// The scheduler's number in [`crate::scheduler::Scheduler`], for listings.
    pub scheduler: u8,
    /// A [`Pick`], for the old slots.
    pub old_pick: u8,
    /// The agent's: the [`Epoch`](crate::tracking::Epoch) of that change.
    pub old_mark: u8,
    /// Zero.
    pub reserved: [u8; 4],
}

impl View {
    /// Whether flows are remembered only where a slot asks for it.
    #[inline]
    pub const fn is_untracked(&self) -> bool {
        self.flags & FLAG_UNTRACKED != 0
    }

    /// The place of a flow with `hash` in a table of `range`, by hash.
    #[inline]
    pub const fn place(range: SlotRange, hash: u32) -> Option<u32> {
        match slot_index(Pick::Flow, hash, 0, range.len) {
            Some(index) => Some(range.first + index),
            None => None,
        }
    }
}
