//! Service ids, and the keys that lead to them.

use super::servers::is_alive;
use crate::agent::ids::{Full, Ids, Quarantine};
use crate::agent::plan::{Draft, Stage};
use crate::agent::tables::{Service, Tables};
use crate::datapath::tables::{Kernel, Write};
use lb_common::address::Address;
use lb_common::service::ServiceKey;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The id of each service, in the order of the tables.
pub(super) type ServiceIds = Vec<u32>;

/// Gives each service the id that most of its keys lead to, else the one that it alone can have inherited, else a free one.
pub(super) fn assign(tables: &Tables, kernel: &Kernel, quarantine: &Quarantine) -> Result<ServiceIds, Full> {
    let mut claims: Vec<_> = tables
        .services
        .iter()
        .enumerate()
        .flat_map(|(place, service)| claims(place, service, kernel))
        .collect();
    claims.sort_unstable();
    let mut given = Given::default();
    for (.., place, id) in claims {
        given.give(place, id);
    }
    for (place, id) in heirs(tables, kernel, (&given, quarantine)) {
        given.give(place, id);
    }
    let keys = kernel.service_keys.values().chain(kernel.stale_keys.values());
    let busy = kernel.services.keys().chain(keys).chain(&quarantine.services);
    // An agent that was killed while it removed a service may have left servers of it, whose counts are not another's.
    let left = kernel.servers.values().filter(|server| is_alive(server)).map(|server| server.service);
    let mut ids = Ids::new("services", kernel.capacities.services, busy.copied().chain(left));
    (0..tables.services.len())
        .map(|place| given.places.get(&place).map_or_else(|| ids.take(), |id| Ok(*id)))
        .collect()
}

/// Which service has which id, each once.
#[derive(Default)]
struct Given {
    places: BTreeMap<usize, u32>,
    ids: BTreeSet<u32>,
}

impl Given {
    fn give(&mut self, place: usize, id: u32) {
        if !self.places.contains_key(&place) && self.ids.insert(id) {
            self.places.insert(place, id);
        }
    }
}

/// What identifies a service when its ports do not: VIP and protocol.
type Place = (Address, u8);

const fn place_of(service: &Service) -> Place {
    (service.address, service.protocol)
}

fn place_of_id(id: u32, kernel: &Kernel) -> Option<Place> {
    let view = kernel.views.get(kernel.services.get(&id)?)?;
    Some((view.address, view.protocol))
}

/// How many keys of the service lead to which id, or did before the index was damaged: first those whose view fits, then most
/// keys, then the earlier service.
///
/// A view that does not fit is none that an agent wrote, so an id with another's view goes to that other one.
fn claims(place: usize, service: &Service, kernel: &Kernel) -> Vec<(bool, Reverse<u32>, usize, u32)> {
    let mut votes = BTreeMap::new();
    let told = |key| kernel.service_keys.get(key).or_else(|| kernel.stale_keys.get(key));
    let ids = service.keys.iter().filter_map(told);
    for id in ids.filter(|id| (1..kernel.capacities.services).contains(*id)) {
        let count: &mut u32 = votes.entry(*id).or_default();
        *count = count.saturating_add(1);
    }
    let is_strange = |id| place_of_id(id, kernel) != Some(place_of(service));
    votes.into_iter().map(|(id, count)| (is_strange(id), Reverse(count), place, id)).collect()
}

/// Services whose ports were all replaced, with their old ids: of a VIP and protocol where there is no doubt.
///
/// An id whose keys other services take is in doubt. The service keeps its connections and counters, as far as its new ports lead to it: from 80 to any port, or back.
fn heirs(tables: &Tables, kernel: &Kernel, (given, quarantine): (&Given, &Quarantine)) -> Vec<(usize, u32)> {
    let mut candidates: BTreeMap<Place, (Vec<usize>, Vec<u32>)> = BTreeMap::new();
    for (place, service) in tables.services.iter().enumerate() {
        if !given.places.contains_key(&place) {
            candidates.entry(place_of(service)).or_default().0.push(place);
        }
    }
    let keys = tables.services.iter().flat_map(|service| &service.keys);
    let moving: BTreeSet<&u32> = keys.filter_map(|key| kernel.service_keys.get(key)).collect();
    let free =
        |id: &&u32| !given.ids.contains(*id) && !quarantine.services.contains(*id) && !moving.contains(*id);
    for id in kernel.services.keys().filter(free) {
        if let Some((_, ids)) = place_of_id(*id, kernel).and_then(|place| candidates.get_mut(&place)) {
            ids.push(*id);
        }
    }
    let one_each = |(places, ids): (Vec<usize>, Vec<u32>)| match (places.as_slice(), ids.as_slice()) {
        ([place], [id]) => Some((*place, *id)),
        _ => None,
    };
    candidates.into_values().filter_map(one_each).collect()
}

/// Takes away keys that are not wanted, then services that no key leads to.
pub(super) fn remove(tables: &Tables, kernel: &Kernel, ids: &ServiceIds, draft: &mut Draft) {
    let wanted: BTreeSet<&ServiceKey> = tables.services.iter().flat_map(|service| &service.keys).collect();
    let fits = |key: &ServiceKey, id: &u32| {
        let place = ids.iter().position(|given| given == id);
        let service = place.and_then(|place| tables.services.get(place));
        service.is_some_and(|service| service.port == 0 && place_of(service) == (key.address, key.protocol))
    };
    for (key, id) in kernel.service_keys.iter().filter(|(key, _)| !wanted.contains(key)) {
        let stage = if fits(key, id) { Stage::LateKeys } else { Stage::DeadKeys };
        draft.push(stage, Write::ServiceKey(*key, None));
    }
    let alive: BTreeSet<u32> = ids.iter().copied().collect();
    let all: BTreeSet<u32> = kernel.services.keys().chain(kernel.service_keys.values()).copied().collect();
    for id in all.difference(&alive) {
        dead(*id, kernel, draft);
    }
}

fn dead(id: u32, kernel: &Kernel, draft: &mut Draft) {
    draft.freed.services.insert(id);
    let Some(index) = kernel.services.get(&id) else { return };
    draft.push(Stage::DeadServices, Write::Service(id, 0));
    draft.freed.views.insert(*index);
    if let Some(view) = kernel.views.get(index) {
        draft.freed.holds_range(view.slots);
        draft.freed.holds_range(view.old_slots);
    }
}
