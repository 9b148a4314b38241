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
}

impl SlotState {
    /// The state that `byte` stands for; an unknown byte is [`SlotState::Settled`].
    #[inline]
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Moving,
            2 => Self::Lingering,
            _ => Self::Settled,
        }
    }
}

/// Value of `SLOTS`: current server in bits 0..28, previous in bits 28..56, state in bits 56..64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot(pub u64);

const REFERENCE: u64 = (1 << 28) - 1;

impl Slot {
    /// A settled slot that names `current`.
    #[inline]
    pub const fn settled(current: ServerRef) -> Self {
        Self::new(current, ServerRef::NONE, SlotState::Settled)
    }

    /// The slot of the three parts.
    #[inline]
    pub const fn new(current: ServerRef, previous: ServerRef, state: SlotState) -> Self {
        Self(current.0 as u64 & REFERENCE | (previous.0 as u64 & REFERENCE) << 28 | (state as u64) << 56)
    }

    /// The server for new flows.
    #[inline]
    pub const fn current(self) -> ServerRef {
        ServerRef((self.0 & REFERENCE) as u32)
    }

    /// The server before the last change.
    #[inline]
    pub const fn previous(self) -> ServerRef {
        ServerRef((self.0 >> 28 & REFERENCE) as u32)
    }

    /// The state.
    #[inline]
    pub const fn state(self) -> SlotState {
        SlotState::from_byte((self.0 >> 56) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_parts_survive() {
        let (current, previous) = (ServerRef::new(0xf_ffff, 0xff), ServerRef::new(1, 2));
        for state in [SlotState::Settled, SlotState::Moving, SlotState::Lingering] {
            let slot = Slot::new(current, previous, state);
            assert_eq!((slot.current(), slot.previous(), slot.state()), (current, previous, state));
        }
    }
}
