//! The slot: a precomputed choice of server, in one word that changes by one aligned store.

use crate::server::ServerRef;

/// What a slot's history asks of a service without tracking (design.md, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SlotState {
    /// Every live flow is on the current server.
    Settled = 0,
    /// Flows of the previous server have not all been seen yet.
    Moving = 1,
    /// Flows that deviate are all in the table.
    Lingering = 2,
    /// Every flow is in the table: its server is reached by nat.
    Tracked = 3,
}

impl SlotState {
    /// The state in the low two bits of `byte`.
    #[inline]
    pub const fn from_byte(byte: u8) -> Self {
        match byte & 3 {
            0 => Self::Settled,
            1 => Self::Moving,
            2 => Self::Lingering,
            _ => Self::Tracked,
        }
    }
}

/// Value of `SLOTS`: current server in bits 0..28, previous in bits 28..56, state in bits 56..58, mark in bits 58..64.
///
/// The mark is the agent's: when a moving slot changed, and how often a sweep found nothing that deviates from a
/// lingering one. The program does not read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub u64);

const REFERENCE: u64 = (1 << 28) - 1;

impl Slot {
    /// A settled slot that names `current`.
    #[inline]
    pub const fn settled(current: ServerRef) -> Self {
        Self::new(current, ServerRef::NONE, SlotState::Settled, 0)
    }

    /// The slot of the four parts; the mark has six bits.
    #[inline]
    pub const fn new(current: ServerRef, previous: ServerRef, state: SlotState, mark: u8) -> Self {
        let high = (state as u64 | (mark as u64) << 2) & 0xff;
        Self(current.0 as u64 & REFERENCE | (previous.0 as u64 & REFERENCE) << 28 | high << 56)
    }

    /// The server for new flows.
    #[inline]
    pub const fn current(self) -> ServerRef {
        ServerRef((self.0 & REFERENCE) as u32)
    }

    /// The server that flows are on which were not seen since a moving slot began to move; none of other slots.
    #[inline]
    pub const fn previous(self) -> ServerRef {
        ServerRef((self.0 >> 28 & REFERENCE) as u32)
    }

    /// The state.
    #[inline]
    pub const fn state(self) -> SlotState {
        SlotState::from_byte((self.0 >> 56) as u8)
    }

    /// The mark.
    #[inline]
    pub const fn mark(self) -> u8 {
        (self.0 >> 58) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_parts_survive() {
        let (current, previous) = (ServerRef::new(0xf_ffff, 0xff), ServerRef::new(1, 2));
        for state in [SlotState::Settled, SlotState::Moving, SlotState::Lingering, SlotState::Tracked] {
            for mark in [0, 1, 63] {
                let slot = Slot::new(current, previous, state, mark);
                assert_eq!((slot.current(), slot.previous()), (current, previous));
                assert_eq!((slot.state(), slot.mark()), (state, mark));
            }
        }
    }
}
