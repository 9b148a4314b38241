//! Slots and views: a new table where the contents differ, then one store that points the service at it.

use super::Moment;
use super::services::ServiceIds;
use super::slots::{self, Elder, Held, Slots};
use crate::agent::arena::Arena;
use crate::agent::ids::{Full, Ids, Quarantine};
use crate::agent::plan::{Draft, Stage};
use crate::agent::tables::{Service, Tables};
use crate::datapath::tables::{Kernel, Write};
use lb_common::server::{Server, ServerRef, ServerState};
use lb_common::service::{ServiceKey, SlotRange, View};
use std::collections::{BTreeMap, BTreeSet};
use zerocopy::network_endian::U16;

pub(super) fn reconcile(
    tables: &Tables,
    kernel: &Kernel,
    moment: Moment,
    (services, references, draft): (&ServiceIds, &[Vec<ServerRef>], &mut Draft),
) -> Result<(), Full> {
    let quarantine = moment.quarantine;
    let ranges =
        kernel.views.values().flat_map(|view| [view.slots, view.old_slots]).filter(|range| range.len > 0);
    let mut free = Free {
        gone: gone(kernel),
        views: free_views(kernel, quarantine),
        arena: Arena::new(
            kernel.capacities.slots,
            ranges.map(|range| (range.first, range.len)).chain(quarantine.ranges.iter().copied()),
        ),
    };
    let held = Held::new(kernel);
    for place in order(tables, kernel, services) {
        let (Some(service), Some(id), Some(references)) =
            (tables.services.get(place), services.get(place), references.get(place))
        else {
            continue;
        };
        let view = kernel.services.get(id).and_then(|index| kernel.views.get(index));
        let slots = slots::plan((service, references), view, &held, moment);
        swap(*id, service, slots, (kernel, &mut free, &mut *draft))?;
        for key in service.keys.iter().filter(|key| kernel.service_keys.get(key) != Some(id)) {
            let is_new = !kernel.service_keys.contains_key(key);
            let stage = if is_new && fits(key, *id, kernel) { Stage::Keys } else { Stage::Services };
            draft.push(stage, Write::ServiceKey(*key, Some(*id)));
        }
    }
    Ok(())
}

fn gone(kernel: &Kernel) -> BTreeMap<u32, Vec<u32>> {
    let mut gone: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let state = |server: &Server| ServerState::from_byte(server.state);
    for (id, server) in kernel.servers.iter().filter(|(_, server)| state(server) == ServerState::Gone) {
        gone.entry(server.service).or_default().push(*id);
    }
    gone
}

/// The indices of views that neither a service nor a packet on its way can name.
pub(super) fn free_views(kernel: &Kernel, quarantine: &Quarantine) -> Ids {
    let busy = kernel.services.values().chain(&quarantine.views).copied();
    Ids::new("views", kernel.capacities.views, busy)
}

/// Whether packets of `key` may be given to the service as it is now.
fn fits(key: &ServiceKey, id: u32, kernel: &Kernel) -> bool {
    let view = kernel.services.get(&id).and_then(|index| kernel.views.get(index));
    view.is_some_and(|view| {
        (view.address, view.protocol) == (key.address, key.protocol)
            && [0, key.port.get()].contains(&view.port.get())
    })
}

/// The services, each after those that take keys from it: a key moves while its old service still serves it.
///
/// Services that exchange keys with each other have no such order; one of them is first.
fn order(tables: &Tables, kernel: &Kernel, ids: &ServiceIds) -> Vec<usize> {
    let places: BTreeMap<u32, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    let mut takers: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (place, service) in tables.services.iter().enumerate() {
        let owners = service.keys.iter().filter_map(|key| places.get(kernel.service_keys.get(key)?).copied());
        for owner in owners.filter(|owner| *owner != place) {
            takers.entry(owner).or_default().insert(place);
        }
    }
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for place in 0..tables.services.len() {
        visit(place, &takers, (&mut seen, &mut order));
    }
    order
}

fn visit(
    place: usize,
    takers: &BTreeMap<usize, BTreeSet<usize>>,
    (seen, order): (&mut BTreeSet<usize>, &mut Vec<usize>),
) {
    if seen.insert(place) {
        takers
            .get(&place)
            .into_iter()
            .flatten()
            .for_each(|taker| visit(*taker, takers, (&mut *seen, &mut *order)));
        order.push(place);
    }
}

struct Free {
    /// Servers that are gone, by service.
    gone: BTreeMap<u32, Vec<u32>>,
    views: Ids,
    arena: Arena,
}

fn swap(
    id: u32,
    service: &Service,
    slots: Slots,
    (kernel, free, draft): (&Kernel, &mut Free, &mut Draft),
) -> Result<(), Full> {
    let Slots { place, fresh, early, late, held, elder } = slots;
    draft.held |= held;
    for (stage, changes) in [(Stage::Disturbed, early), (Stage::Services, late)] {
        if !changes.is_empty() {
            draft.push(stage, Write::Change(changes));
        }
    }
    let range = match place {
        Some(range) => range,
        None => free.arena.take(u32::try_from(fresh.len()).unwrap_or(u32::MAX))?,
    };
    let index = kernel.services.get(&id);
    let current = index.and_then(|index| kernel.views.get(index));
    let wanted = view(service, range, elder);
    if current == Some(&wanted) {
        return Ok(());
    }
    if place.is_none() {
        draft.push(Stage::Services, Write::Slots(range.first, fresh));
    }
    let new = free.views.take()?;
    if current.is_none() {
        for server in free.gone.get(&id).into_iter().flatten() {
            draft.push(Stage::Counters, Write::RetireServer(*server));
        }
        draft.push(Stage::Services, Write::RetireService(id));
    }
    exchange(id, (new, wanted), kernel, draft);
    Ok(())
}

/// Points the service at another view, and frees what only the one before it named.
pub(super) fn exchange(id: u32, (index, wanted): (u32, View), kernel: &Kernel, draft: &mut Draft) {
    draft.push(Stage::Services, Write::View(index, wanted));
    draft.push(Stage::Services, Write::Service(id, index));
    let Some(old) = kernel.services.get(&id) else { return };
    draft.freed.views.insert(*old);
    if let Some(old) = kernel.views.get(old) {
        let named = [wanted.slots, wanted.old_slots];
        let unused = [old.slots, old.old_slots].into_iter().filter(|old| !named.contains(old));
        unused.for_each(|old| draft.freed.holds_range(old));
    }
}

fn view(service: &Service, slots: SlotRange, elder: Elder) -> View {
    View {
        address: service.address,
        slots,
        old_slots: elder.range,
        timeouts: service.timeouts,
        port: U16::new(service.port),
        protocol: service.protocol,
        pick: service.scheduler.pick() as u8,
        flags: service.flags,
        scheduler: service.scheduler as u8,
        old_pick: elder.pick,
        old_mark: elder.mark,
        reserved: [0; 4],
    }
}
