//! Which slot a remembered flow of an untracked service has, and whether it needs its entry.

use super::error::Result;
use super::mapped::Mapped;
use super::maps::Maps;
use lb_common::connection::Connection;
use lb_common::flow::FlowKey;
use lb_common::server::{Method, ServerRef, ServerState};
use lb_common::service::{Pick, View};
use lb_common::slots::Slot;
use std::collections::BTreeMap;

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: the slot tells the same server.
    None,
    /// The slot with this index tells another server.
    Deviates(u32),
    /// The flow is tracked, or may have to be found when its slot comes to rest.
    Kept,
}

/// The slots of untracked services, while a sweep lasts.
pub(super) struct Lanes<'a> {
    maps: &'a Maps,
    services: BTreeMap<u32, Option<Lane>>,
}

struct Lane {
    view: View,
    slots: Mapped,
}

impl<'a> Lanes<'a> {
    pub(super) fn new(maps: &'a Maps) -> Self {
        Self { maps, services: BTreeMap::new() }
    }

    /// What this entry is for.
    pub(super) fn need_of(&mut self, key: &FlowKey, connection: &Connection) -> Result<Need> {
        if key.owner.is_reply() {
            return Ok(Need::Kept);
        }
        let Some((index, slot)) = self.slot_of(key)? else { return Ok(Need::Kept) };
        Ok(match slot.current() == connection.server {
            false => Need::Deviates(index),
            true if slot.is_enough() && self.is_able(connection.server) => Need::None,
            true => Need::Kept,
        })
    }

    fn slot_of(&mut self, key: &FlowKey) -> Result<Option<(u32, Slot)>> {
        let id = key.owner.id();
        if !self.services.contains_key(&id) {
            let lane = Lane::of(self.maps, id)?;
            self.services.insert(id, lane);
        }
        Ok(self.services.get(&id).and_then(Option::as_ref).and_then(|lane| lane.slot_of(key)))
    }

    /// Whether new flows would get this server, and not by nat, which needs an entry for each.
    fn is_able(&self, reference: ServerRef) -> bool {
        self.maps.server(reference.id()).is_some_and(|server| {
            server.state_of(reference) == ServerState::Up
                && server.next_hop.is_known()
                && server.method != Method::Nat as u8
        })
    }
}

impl Lane {
    fn of(maps: &Maps, service: u32) -> Result<Option<Self>> {
        let Some(view) = maps.view_of(service).filter(|view| view.is_untracked() && view.slots.len > 0)
        else {
            return Ok(None);
        };
        let slots = maps.slots.window(view.slots.first, view.slots.len as usize)?;
        Ok(Some(Self { view, slots }))
    }

    fn slot_of(&self, key: &FlowKey) -> Option<(u32, Slot)> {
        let whole = Pick::from_byte(self.view.pick).is_of_flow();
        let index = View::place(self.view.slots, key.hash(&self.view.address, whole))?;
        let slot = self.slots.load((index - self.view.slots.first) as usize)?;
        Some((index, Slot(slot)))
    }
}
