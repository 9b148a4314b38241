//! Services without tracking: the slot of a flow tells its server (design.md, section 4; `lb_common::tracking`).

use crate::maps;
use crate::schedule::{Chosen, able, hash};
use lb_common::flow::FlowKey;
use lb_common::server::{Method, ServerRef, ServerState};
use lb_common::service::{FLAG_KEEP_ON_DOWN, Pick, SlotRange, View};
use lb_common::slots::{Slot, SlotState};
use lb_common::verdict::Reason;

/// The server of a flow whose slot has settled, if that takes new flows: nothing else is looked at.
#[inline]
pub(crate) fn settled(flow: &FlowKey, view: &View) -> Option<Chosen> {
    let whole = Pick::from_byte(view.pick).is_of_flow();
    let slot = maps::slot(View::place(view.slots, flow.hash(&view.address, whole))?)?;
    if slot.state() != SlotState::Settled {
        return None;
    }
    able(slot.current(), 0)
}

/// The server of a connection that is open and not in the table, and whether it must be remembered.
///
/// While its slot moves that is the server that the slot named before, or the service's older table, as long as it may
/// keep its connections.
#[inline]
pub(crate) fn owner(flow: &FlowKey, service: u32, view: &View) -> Result<(ServerRef, bool), Reason> {
    let moving = Slot::new(ServerRef::NONE, ServerRef::NONE, SlotState::Moving, 0);
    let slot = if view.is_untracked() { slot_of(flow, view, view.slots, view.pick) } else { None };
    let slot = slot.unwrap_or(moving);
    let elder = slot.elder(slot_of(flow, view, view.old_slots, view.old_pick));
    if may_keep(elder, service, view).is_ok() {
        return Ok((elder, true));
    }
    may_keep(slot.current(), service, view).map(|()| (slot.current(), false))
}

/// Whether the server `reference` may keep a connection that no table knows.
#[inline(never)]
fn may_keep(reference: ServerRef, service: u32, view: &View) -> Result<(), Reason> {
    let server = maps::server(reference).ok_or(Reason::NoConnection)?;
    if server.service != service || server.method == Method::Nat as u8 {
        return Err(Reason::NoConnection);
    }
    match server.state_of(reference) {
        ServerState::Up | ServerState::NoNew => Ok(()),
        ServerState::Down if view.flags & FLAG_KEEP_ON_DOWN != 0 => Ok(()),
        ServerState::Down => Err(Reason::ServerDown),
        ServerState::Gone => Err(Reason::ServerRemoved),
    }
}

#[inline]
fn slot_of(flow: &FlowKey, view: &View, range: SlotRange, pick: u8) -> Option<Slot> {
    if range.len == 0 {
        return None;
    }
    maps::slot(View::place(range, hash(flow, view, pick))?)
}
