//! What the kernel holds, as values, and the writes that change it: the boundary between agent and datapath.

pub use super::capacities::Capacities;
use lb_common::address::Address;
use lb_common::counters::Settings;
use lb_common::index::{Indexed, place};
use lb_common::server::{Interface, NextHop, Server, ServerState};
use lb_common::service::{ServiceKey, View};
use lb_common::slots::Slot;
use std::collections::BTreeMap;

/// The tables as read back from the kernel. Empty entries are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// Service id of each key, as packets find it.
    pub service_keys: BTreeMap<ServiceKey, u32>,
    /// What else `SERVICE_KEYS` says, of keys that packets find otherwise or not at all.
    pub stale_keys: BTreeMap<ServiceKey, u32>,
    /// `SERVICE_INDEX`, by place.
    pub service_index: BTreeMap<u32, Indexed>,
    /// `SERVICES`: index of the view of each service id.
    pub services: BTreeMap<u32, u32>,
    /// `VIEWS`, by index: those that a service points to.
    pub views: BTreeMap<u32, View>,
    /// `SLOTS`: the ranges that those views name, by first slot.
    pub slots: BTreeMap<u32, Vec<Slot>>,
    /// `SERVERS`, by id. Entries that are gone are there as well: they hold the last generation of the id.
    pub servers: BTreeMap<u32, Server>,
    /// `NAT_HOSTS`: host id of each address.
    pub nat_hosts: BTreeMap<Address, u32>,
    /// `INTERFACES`, by device index.
    pub interfaces: BTreeMap<u16, Interface>,
    /// `SETTINGS`.
    pub settings: Settings,
    /// How many entries the tables have room for.
    pub capacities: Capacities,
}

/// Keys by their place in the index, with their services.
pub type Places = BTreeMap<u32, BTreeMap<ServiceKey, u32>>;

/// `keys` by their place in the index.
pub fn by_place<'a>(keys: impl IntoIterator<Item = (&'a ServiceKey, &'a u32)>) -> Places {
    let mut places = Places::new();
    for (key, id) in keys {
        places.entry(place(key)).or_default().insert(*key, *id);
    }
    places
}

/// The keys of `table`, which is what `SERVICE_KEYS` has: those that packets find by `index`, with the service that they
/// find; and those of which the table says something else. `vip` gives the VIP of a service.
///
/// A key changes when its word in the index does, or the table if several share the word. An agent that is killed between
/// the two leaves a table that is ahead.
pub fn found(
    table: &BTreeMap<ServiceKey, u32>,
    index: &BTreeMap<u32, Indexed>,
    vip: impl Fn(u32) -> Option<Address>,
) -> (BTreeMap<ServiceKey, u32>, BTreeMap<ServiceKey, u32>) {
    let (mut found, mut stale) = (BTreeMap::new(), BTreeMap::new());
    for (key, id) in table {
        let service = match index.get(&place(key)) {
            None => 0,
            Some(&Indexed::SEVERAL) => *id,
            // Of keys that have one place the word is that of one.
            Some(word) => Some(word.service(key)).filter(|id| vip(*id) == Some(key.address)).unwrap_or(0),
        };
        if service != 0 {
            found.insert(*key, service);
        }
        if service != *id {
            stale.insert(*key, *id);
        }
    }
    (found, stale)
}

/// One change of the kernel's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Replaces `SETTINGS`.
    Settings(Settings),
    /// Fills a device index in `INTERFACES`, `DEVICES` and `INTERFACE_KEYS`; an `ifindex` of 0 empties it.
    Interface(u16, Interface),
    /// Sets or, with `None`, removes an entry of `NAT_HOSTS`.
    NatHost(Address, Option<u32>),
    /// Writes a whole server whose id no slot names.
    Server(u32, Server),
    /// Changes the state byte of a server, by one store.
    ServerState(u32, ServerState),
    /// Changes the next hop of a server, by one store.
    NextHop(u32, NextHop),
    /// Changes the path MTU of a server, by one aligned store.
    ServerMtu(u32, u16),
    /// Changes the outer source of a server and how many of its bits differ from flow to flow, by aligned stores.
    ServerSource(u32, Address, u8),
    /// Fills a free range, from its first slot on.
    Slots(u32, Vec<Slot>),
    /// Changes slots in use, given by index, each by one store.
    Change(Vec<(u32, Slot)>),
    /// Writes a view that no service points to.
    View(u32, View),
    /// Points a service at a view, by one store; 0 removes it.
    Service(u32, u32),
    /// Sets or, with `None`, removes an entry of `SERVICE_KEYS`.
    ServiceKey(ServiceKey, Option<u32>),
    /// Changes a word of `SERVICE_INDEX`, by one store.
    Index(u32, Indexed),
    /// Adds what the servers of a service id had counted to what is left of former services, and begins its `SEQUENCE` anew.
    RetireService(u32),
    /// Adds what a server counted to what its service's former servers had. It is gone, and its id is to be given out.
    RetireServer(u32),
}

impl Write {
    /// The key that it sets or removes.
    pub const fn key(&self) -> Option<ServiceKey> {
        if let Self::ServiceKey(key, _) = self { Some(*key) } else { None }
    }

    /// Whether slots of an untracked service may have to change with time after it.
    pub fn moves_slots(&self) -> bool {
        matches!(self, Self::Change(_))
            || matches!(self, Self::View(_, view) if view.is_untracked() || view.old_slots.len > 0)
    }
}
