//! Slots and views: a new table where the contents differ, then one store that points the service at it.

use super::services::ServiceIds;
use crate::agent::arena::Arena;
use crate::agent::ids::{Full, Ids, Quarantine};
use crate::agent::plan::{Draft, Stage};
use crate::agent::tables::{Service, Tables};
use crate::datapath::tables::{Kernel, Write};
use lb_common::scheduler::Member;
use lb_common::server::ServerRef;
use lb_common::service::{ServiceKey, SlotRange, View};
use lb_common::slots::Slot;
use std::collections::{BTreeMap, BTreeSet};
use zerocopy::network_endian::U16;

pub(super) fn reconcile(
    tables: &Tables,
    kernel: &Kernel,
    quarantine: &Quarantine,
    (services, references, draft): (&ServiceIds, &[Vec<ServerRef>], &mut Draft),
) -> Result<(), Full> {
    let ranges =
        kernel.views.values().flat_map(|view| [view.slots, view.old_slots]).filter(|range| range.len > 0);
    let mut free = Free {
        views: Ids::new(
            "views",
            kernel.capacities.views,
            kernel.services.values().chain(&quarantine.views).copied(),
        ),
        arena: Arena::new(
            kernel.capacities.slots,
            ranges.map(|range| (range.first, range.len)).chain(quarantine.ranges.iter().copied()),
        ),
    };
    for place in order(tables, kernel, services) {
        let (Some(service), Some(id), Some(references)) =
            (tables.services.get(place), services.get(place), references.get(place))
        else {
            continue;
        };
        let slots = slots(service, references);
        swap(*id, (service, slots), kernel, (&mut free, &mut *draft))?;
        for key in service.keys.iter().filter(|key| kernel.service_keys.get(key) != Some(id)) {
            let is_new = !kernel.service_keys.contains_key(key);
            let stage = if is_new && fits(key, *id, kernel) { Stage::Keys } else { Stage::Services };
            draft.push(stage, Write::ServiceKey(*key, Some(*id)));
        }
    }
    Ok(())
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
    views: Ids,
    arena: Arena,
}

/// The slot table of a service whose servers have these references.
pub(super) fn slots(service: &Service, references: &[ServerRef]) -> Vec<Slot> {
    let member = |(server, reference): (&crate::agent::tables::Server, &ServerRef)| Member {
        server: *reference,
        weight: server.effective_weight(),
        address: server.address,
        port: server.port,
    };
    let members: Vec<Member> = service.servers.iter().zip(references).map(member).collect();
    service.scheduler.fill(&members).into_iter().map(Slot::settled).collect()
}

fn swap(
    id: u32,
    (service, slots): (&Service, Vec<Slot>),
    kernel: &Kernel,
    (free, draft): (&mut Free, &mut Draft),
) -> Result<(), Full> {
    let current = kernel.services.get(&id).and_then(|index| Some((*index, kernel.views.get(index)?)));
    let nothing = slots.is_empty().then(SlotRange::default);
    let kept = current.map(|(_, view)| view.slots).filter(|range| holds(kernel, *range, &slots)).or(nothing);
    let range = match kept {
        Some(range) => range,
        None => free.arena.take(u32::try_from(slots.len()).unwrap_or(u32::MAX))?,
    };
    let wanted = view(service, range);
    if current.is_some_and(|(_, view)| *view == wanted) {
        return Ok(());
    }
    if kept.is_none() && !slots.is_empty() {
        draft.push(Stage::Services, Write::Slots(range.first, slots));
    }
    let index = free.views.take()?;
    if current.is_none() {
        draft.push(Stage::Services, Write::ClearService(id));
    }
    draft.push(Stage::Services, Write::View(index, wanted));
    draft.push(Stage::Services, Write::Service(id, index));
    if let Some(old) = kernel.services.get(&id) {
        draft.freed.views.insert(*old);
    }
    if let Some((_, old)) = current {
        let unused = [old.slots, old.old_slots].into_iter().filter(|old| *old != range);
        unused.for_each(|old| draft.freed.holds_range(old));
    }
    Ok(())
}

fn holds(kernel: &Kernel, range: SlotRange, slots: &[Slot]) -> bool {
    range.len > 0
        && range.len as usize == slots.len()
        && kernel.slots.get(&range.first).is_some_and(|held| held == slots)
}

fn view(service: &Service, slots: SlotRange) -> View {
    View {
        address: service.address,
        slots,
        old_slots: SlotRange::default(),
        timeouts: service.timeouts,
        port: U16::new(service.port),
        protocol: service.protocol,
        pick: service.scheduler.pick() as u8,
        flags: service.flags,
        scheduler: service.scheduler as u8,
        reserved: [0; 6],
    }
}
