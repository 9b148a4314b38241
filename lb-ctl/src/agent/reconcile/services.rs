//! Service ids, and the keys that lead to them.

use crate::agent::ids::{Full, Ids, Quarantine};
use crate::agent::plan::{Draft, Stage};
use crate::agent::tables::{Service, Tables};
use crate::datapath::tables::{Kernel, Write};
use lb_common::maps::MAX_SERVICES;
use lb_common::service::ServiceKey;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The id of each service, in the order of the tables.
pub(super) type ServiceIds = Vec<u32>;

/// Gives each service the id that most of its keys lead to, and a free one where there is none.
pub(super) fn assign(tables: &Tables, kernel: &Kernel, quarantine: &Quarantine) -> Result<ServiceIds, Full> {
    let mut claims: Vec<_> = tables
        .services
        .iter()
        .enumerate()
        .flat_map(|(place, service)| claims(place, service, kernel))
        .collect();
    claims.sort_unstable();
    let mut places = BTreeMap::new();
    let mut given = BTreeSet::new();
    for (_, place, id) in claims {
        if !places.contains_key(&place) && given.insert(id) {
            places.insert(place, id);
        }
    }
    let busy =
        kernel.services.keys().chain(kernel.service_keys.values()).chain(&quarantine.services).copied();
    let mut ids = Ids::new("services", MAX_SERVICES, busy);
    (0..tables.services.len())
        .map(|place| places.get(&place).map_or_else(|| ids.take(), |id| Ok(*id)))
        .collect()
}

/// How many keys of the service lead to which id: most first, then the earlier service.
fn claims(place: usize, service: &Service, kernel: &Kernel) -> Vec<(Reverse<u32>, usize, u32)> {
    let mut votes = BTreeMap::new();
    for id in service.keys.iter().filter_map(|key| kernel.service_keys.get(key)) {
        let count: &mut u32 = votes.entry(*id).or_default();
        *count = count.saturating_add(1);
    }
    votes.into_iter().map(|(id, count)| (Reverse(count), place, id)).collect()
}

/// Takes away keys that are not wanted, then services that no key leads to.
pub(super) fn remove(tables: &Tables, kernel: &Kernel, ids: &ServiceIds, draft: &mut Draft) {
    let wanted: BTreeSet<&ServiceKey> = tables.services.iter().flat_map(|service| &service.keys).collect();
    for key in kernel.service_keys.keys().filter(|key| !wanted.contains(key)) {
        draft.push(Stage::DeadKeys, Write::ServiceKey(*key, None));
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
