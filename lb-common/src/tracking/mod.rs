//! Just enough tracking: how the slots of a service without tracking change, so that no flow leaves its server.
//!
//! Which server a flow has is computed, not remembered. Only while a slot changes are flows remembered: those of its
//! new server at once, those of its old one when they are seen. Pure; the agent keeps the slots, the program reads them.
//! The ideas are those of JET (`CoNEXT` 2021) and Beamer (NSDI 2018).

mod epoch;
#[cfg(test)]
mod tests;

pub use epoch::Epoch;

use crate::server::ServerRef;
use crate::slots::{Slot, SlotState};

/// Sweeps without a flow that deviates, after which a lingering slot is settled.
const QUIET_SWEEPS: u8 = 2;

/// What a slot becomes the slot of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The server for new flows.
    pub server: ServerRef,
    /// Whether it is reached by nat, so that its flows are always remembered.
    pub nat: bool,
    /// Whether flows stay on the server that they have (TCP), or follow the slot (UDP).
    pub stay: bool,
}

impl Target {
    const fn at_rest(self) -> Slot {
        self.without_previous(if self.nat { SlotState::Tracked } else { SlotState::Lingering })
    }

    const fn without_previous(self, state: SlotState) -> Slot {
        Slot::new(self.server, ServerRef::NONE, state, 0)
    }

    const fn moving(self, previous: ServerRef, now: Epoch) -> Slot {
        Slot::new(self.server, previous, SlotState::Moving, now.bits())
    }

    /// The slot of a table that no flow was given a server by.
    pub const fn fresh(self) -> Slot {
        if self.nat { self.at_rest() } else { self.without_previous(SlotState::Settled) }
    }

    /// The slot of a table that takes the place of another one. With `elder`, flows that are not remembered have their
    /// server from an older table; without, there are none.
    pub const fn succeeding(self, elder: bool, now: Epoch) -> Slot {
        if elder && self.stay { self.moving(ServerRef::NONE, now) } else { self.at_rest() }
    }
}

impl Slot {
    /// This slot after it was given to `to`.
    #[must_use]
    pub fn given(self, to: Target, now: Epoch) -> Self {
        if to.server == self.current() {
            return self;
        }
        match self.state() {
            // Its flows are all in the table.
            SlotState::Tracked => to.at_rest(),
            _ if !to.stay => to.at_rest(),
            SlotState::Settled | SlotState::Lingering => to.moving(self.current(), now),
            // All that was opened meanwhile is in the table; what is not is where it was, which is right again.
            SlotState::Moving if to.server == self.previous() => to.at_rest(),
            SlotState::Moving => to.moving(self.previous(), now),
        }
    }

    /// This slot while its server takes no new flows, or is about to begin or to end that: those that other servers
    /// take meanwhile are remembered, and must be found.
    #[must_use]
    pub fn disturbed(self) -> Self {
        match self.state() {
            SlotState::Settled => Self::new(self.current(), ServerRef::NONE, SlotState::Lingering, 0),
            SlotState::Lingering | SlotState::Moving | SlotState::Tracked => self,
        }
    }

    /// This slot at `now`: a moving one lingers as soon as each live flow has been seen since it changed. `nat` says
    /// how its server is reached.
    #[must_use]
    pub fn aged(self, nat: bool, now: Epoch) -> Self {
        let moved = Epoch::from_bits(self.mark());
        if self.state() == SlotState::Moving && moved.is_over(now) {
            Target { server: self.current(), nat, stay: true }.at_rest()
        } else {
            self
        }
    }

    /// This slot after a sweep during which its server took new flows; `deviates` tells whether a remembered flow is on
    /// another server.
    #[must_use]
    pub fn swept(self, deviates: bool) -> Self {
        let quiet = if deviates { 0 } else { self.mark() + 1 };
        match self.state() {
            SlotState::Lingering if quiet >= QUIET_SWEEPS => Self::settled(self.current()),
            SlotState::Lingering => Self::new(self.current(), ServerRef::NONE, SlotState::Lingering, quiet),
            SlotState::Settled | SlotState::Moving | SlotState::Tracked => self,
        }
    }

    /// Whether a flow that is on this slot's server needs no entry in the table.
    #[inline]
    pub const fn is_enough(self) -> bool {
        matches!(self.state(), SlotState::Settled | SlotState::Lingering)
    }

    /// Whether a new flow that this slot's server takes is to be remembered.
    #[inline]
    pub const fn remembers(self) -> bool {
        // Moving and tracked are the odd ones: one bit is asked, without a branch.
        self.0 >> 56 & 1 != 0
    }

    /// The server of a connection that is open and not in the table, if it is not this slot's: `old` is the slot that
    /// it has in the older table, if the view names one. [`ServerRef::NONE`] if there can be no such connection.
    #[inline]
    pub const fn elder(self, old: Option<Self>) -> ServerRef {
        match (self.state(), old) {
            (SlotState::Moving, None) => self.previous(),
            (SlotState::Moving, Some(old)) => match old.state() {
                SlotState::Settled | SlotState::Lingering => old.current(),
                SlotState::Moving => old.previous(),
                SlotState::Tracked => ServerRef::NONE,
            },
            _ => ServerRef::NONE,
        }
    }
}
