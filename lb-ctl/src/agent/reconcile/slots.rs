//! The slots of a service: which are written anew, and which change in place so that no flow leaves its server.
//!
//! A tracked service has its flows in a table, and gets new slots whenever their contents change. The slots of an
//! untracked one carry what their flows need (`lb_common::tracking`), so that they change one by one.

use super::Moment;
use crate::agent::tables::{Server, Service};
use crate::datapath::tables::Kernel;
use lb_common::scheduler::Member;
use lb_common::server::{Method, ServerRef, ServerState};
use lb_common::service::{SlotRange, View};
use lb_common::slots::{Slot, SlotState};
use lb_common::tracking::{Epoch, Target};
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of the slots of a service.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Where they are; `None` if `fresh` is to be put somewhere.
    pub(super) place: Option<SlotRange>,
    /// A whole new table.
    pub(super) fresh: Vec<Slot>,
    /// Changes in place, by index: those that come before servers change, and those that come after.
    pub(super) early: Vec<(u32, Slot)>,
    pub(super) late: Vec<(u32, Slot)>,
    /// Whether others are to change later.
    pub(super) held: bool,
    /// The older table that the view names.
    pub(super) elder: Elder,
}

/// The table that tells the server of connections that a younger one does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Elder {
    pub(super) range: SlotRange,
    pub(super) pick: u8,
    pub(super) mark: u8,
}

/// The slots that the kernel has, each range of one view.
pub(super) struct Held<'a> {
    kernel: &'a Kernel,
    /// Ranges that others overlap, or name as well: an agent wrote none of them.
    shared: BTreeSet<(u32, u32)>,
}

impl<'a> Held<'a> {
    pub(super) fn new(kernel: &'a Kernel) -> Self {
        let views = kernel.services.values().filter_map(|index| kernel.views.get(index));
        // A service that is tracked from now on may have the same slots before and after.
        let of_view = |view: &View| {
            let ranges = [view.slots, view.old_slots].into_iter().filter(|range| range.len > 0);
            ranges.map(|range| (range.first, range.len)).collect::<BTreeSet<_>>()
        };
        let mut ranges: Vec<_> = views.flat_map(of_view).collect();
        ranges.sort_unstable();
        let (mut shared, mut widest) = (BTreeSet::new(), (0, 0));
        for (first, len) in ranges {
            let (before, width) = widest;
            if first < before + width {
                shared.extend([(first, len), widest]);
            }
            if first.saturating_add(len) > before + width {
                widest = (first, len.min(u32::MAX - first));
            }
        }
        Self { kernel, shared }
    }

    fn slots(&self, range: SlotRange) -> Option<&'a [Slot]> {
        let slots = self.kernel.slots.get(&range.first).map(Vec::as_slice)?;
        let is_whole = slots.len() == range.len as usize && range.len > 0;
        (is_whole && !self.shared.contains(&(range.first, range.len))).then_some(slots)
    }
}

/// The servers of a service, as slots name them.
struct Servers<'a> {
    by_reference: BTreeMap<ServerRef, &'a Server>,
    stay: bool,
}

/// The slots of `service`, whose servers have these references, after those that the kernel has for it in `view`.
pub(super) fn plan(
    (service, references): (&Service, &[ServerRef]),
    view: Option<&View>,
    kernel: &Held<'_>,
    moment: Moment,
) -> Slots {
    let servers = Servers {
        by_reference: references.iter().copied().zip(&service.servers).collect(),
        stay: !service.is_udp(),
    };
    let wanted = fill(service, references);
    let held = view.and_then(|view| Some((view, kernel.slots(view.slots)?)));
    let now = Epoch::at(moment.now, service.timeouts.established);
    // Marks of the clock of another idle timeout mean nothing.
    let restamped = view.is_some_and(|view| view.timeouts != service.timeouts);
    let marked_anew = |elder| if restamped { Elder { mark: now.bits(), ..elder } } else { elder };
    let elder = view.filter(|_| servers.stay).and_then(|view| elder_of(view, kernel, now));
    let elder = elder.map(marked_anew).unwrap_or_default();
    if !service.is_untracked() {
        let settled: Vec<Slot> = wanted.into_iter().map(Slot::settled).collect();
        let kept = held.filter(|(_, slots)| *slots == settled).map(|(view, _)| view.slots);
        return Slots { place: kept, fresh: settled, elder, ..Slots::default() }.somewhere();
    }
    match held {
        Some((view, slots))
            if is_alike(view, service) && slots.len() == wanted.len() && !wanted.is_empty() =>
        {
            let elder = kept_elder(view, kernel).map(marked_anew).unwrap_or_default();
            let place = Some(view.slots);
            let mut planned = Slots { place, elder, ..Slots::default() };
            servers.change(
                (view.slots.first, slots),
                &wanted,
                (kernel.kernel, moment, now, restamped),
                &mut planned,
            );
            planned
        }
        _ => {
            let target = |reference| servers.target(reference);
            let fresh = match view {
                None => wanted.into_iter().map(|to| target(to).fresh()).collect(),
                Some(_) => {
                    wanted.into_iter().map(|to| target(to).succeeding(elder.range.len > 0, now)).collect()
                }
            };
            Slots { fresh, elder, ..Slots::default() }.somewhere()
        }
    }
}

impl Slots {
    /// A table without slots needs no place.
    fn somewhere(mut self) -> Self {
        if self.fresh.is_empty() {
            self.place = Some(SlotRange::default());
        }
        self
    }
}

impl Servers<'_> {
    fn target(&self, server: ServerRef) -> Target {
        let nat = self.by_reference.get(&server).is_some_and(|server| server.method == Method::Nat);
        Target { server, nat, stay: self.stay }
    }

    /// Changes those of `slots`, which begin at index `first`, that are not as they are wanted.
    fn change(
        &self,
        (first, slots): (u32, &[Slot]),
        wanted: &[ServerRef],
        (kernel, moment, now, restamped): (&Kernel, Moment, Epoch, bool),
        planned: &mut Slots,
    ) {
        let mut steps = moment.pace.steps(slots.len());
        for ((index, slot), to) in (first..).zip(slots).zip(wanted) {
            let server = self.by_reference.get(&slot.current());
            let able = is_able(kernel, slot.current()) && server.is_some_and(|server| server.is_able());
            let early = if able { *slot } else { slot.disturbed() };
            let dead = server.is_none_or(|server| server.is_dead());
            let moves = slot.current() != *to && (dead || steps > 0);
            let late = if moves { early.given(self.target(*to), now) } else { early };
            let late = if restamped { marked(late, now) } else { late };
            steps -= usize::from(moves && !dead);
            planned.held |= slot.current() != *to && !moves;
            planned.early.extend((early != *slot).then_some((index, early)));
            planned.late.extend((late != early).then_some((index, late)));
        }
    }
}

/// A moving slot with the clock of another idle timeout.
fn marked(slot: Slot, now: Epoch) -> Slot {
    if slot.state() == SlotState::Moving {
        Slot::new(slot.current(), slot.previous(), SlotState::Moving, now.bits())
    } else {
        slot
    }
}

/// The servers of the slots, as the scheduler wants them.
fn fill(service: &Service, references: &[ServerRef]) -> Vec<ServerRef> {
    let member = |(server, reference): (&Server, &ServerRef)| Member {
        server: *reference,
        weight: server.effective_weight(),
        address: server.address,
        port: server.port,
    };
    let staying = service.servers.iter().zip(references).filter(|(server, _)| !server.leaving);
    let members: Vec<Member> = staying.map(member).collect();
    service.scheduler.fill(&members)
}

/// Whether slots of `view` can become slots of `service` one by one.
fn is_alike(view: &View, service: &Service) -> bool {
    view.is_untracked() && view.pick == service.scheduler.pick() as u8
}

/// The older table that a view after `view` names: the one that `view` names itself, because all that is younger was
/// remembered; else the one of `view`, if its flows are not in the table.
fn elder_of(view: &View, kernel: &Held<'_>, now: Epoch) -> Option<Elder> {
    kept_elder(view, kernel).or_else(|| {
        let own = view.is_untracked() && kernel.slots(view.slots).is_some();
        own.then_some(Elder { range: view.slots, pick: view.pick, mark: now.bits() })
    })
}

fn kept_elder(view: &View, kernel: &Held<'_>) -> Option<Elder> {
    kernel.slots(view.old_slots)?;
    Some(Elder { range: view.old_slots, pick: view.old_pick, mark: view.old_mark })
}

/// Whether the server that the kernel has takes new flows.
pub(super) fn is_able(kernel: &Kernel, reference: ServerRef) -> bool {
    kernel
        .servers
        .get(&reference.id())
        .is_some_and(|server| server.state_of(reference) == ServerState::Up && server.next_hop.is_known())
}
