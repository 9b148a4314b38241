//! Which server a new flow gets.

use crate::maps;
use lb_common::flow::FlowKey;
use lb_common::scheduler::{MAX_ATTEMPTS, slot_index};
use lb_common::server::{Server, ServerRef, ServerState};
use lb_common::service::{Pick, View};

/// A server that was chosen.
#[derive(Clone, Copy)]
pub(crate) struct Chosen {
    /// What is remembered.
    pub(crate) reference: ServerRef,
    /// Its entry.
    pub(crate) server: &'static Server,
    /// Not a `bool`: an error would take its spare values, and share its word with the pointer, which the verifier
    /// refuses.
    remember: u8,
}

impl Chosen {
    /// Whether the flow must be remembered to find it again.
    #[inline]
    pub(crate) fn is_to_be_remembered(&self) -> bool {
        self.remember != 0
    }
}

/// The server `reference`, if it takes new flows.
#[inline]
pub(crate) fn able(reference: ServerRef, remember: u8) -> Option<Chosen> {
    let server = maps::server(reference)?;
    let able = matches!(server.state_of(reference), ServerState::Up) && maps::next_hop(server).is_known();
    able.then_some(Chosen { reference, server, remember })
}

/// The hash of a flow, of its client alone if `pick` says so. One copy for all that are not in a hurry.
#[inline(never)]
pub(crate) fn hash(flow: &FlowKey, view: &View, pick: u8) -> u32 {
    flow.hash(&view.address, Pick::from_byte(pick).is_of_flow())
}

/// Where a new flow looks for its server: the hash of it, or the service's turn.
#[derive(Clone, Copy)]
pub(crate) struct Search {
    pick: Pick,
    word: u32,
}

impl Search {
    /// Begins the search of `flow`.
    #[inline]
    pub(crate) fn new(flow: &FlowKey, service: u32, view: &View) -> Self {
        let pick = Pick::from_byte(view.pick);
        let word = match pick {
            Pick::Flow | Pick::Client => hash(flow, view, view.pick),
            Pick::Sequence => maps::next_turn(service),
        };
        Self { pick, word }
    }

    /// The server that try number `attempt` gives, if it takes new connections.
    #[inline]
    pub(crate) fn attempt(self, view: &View, attempt: u32) -> Option<Chosen> {
        let slots = view.slots;
        let index = slot_index(self.pick, self.word, attempt, slots.len)?;
        let slot = maps::slot(slots.first + index)?;
        able(
            slot.current(),
            u8::from(attempt > 0) | u8::from(slot.remembers()) | u8::from(!view.is_untracked()),
        )
    }
}

/// The first server of [`MAX_ATTEMPTS`] that `accept` takes.
///
/// `view` says how the flow looks for its server; each try looks in the service's view of that moment. A change of the
/// service may overtake the packet, and the servers of an old view are gone as soon as the new one is there.
#[inline]
pub(crate) fn choose<E>(
    flow: &FlowKey,
    service: u32,
    view: &View,
    nothing: E,
    mut accept: impl FnMut(&Chosen) -> Result<(), E>,
) -> Result<Chosen, E> {
    let search = Search::new(flow, service, view);
    let mut failure = nothing;
    for attempt in 0..MAX_ATTEMPTS {
        let Some(view) = maps::view_of(service) else { break };
        if let Some(chosen) = search.attempt(view, attempt) {
            match accept(&chosen) {
                Ok(()) => return Ok(chosen),
                Err(error) => failure = error,
            }
        }
    }
    Err(failure)
}
