//! What becomes of slots as time passes: they linger once every live flow has been seen, and settle once none deviates.

use super::Moment;
use super::slots::is_able;
use super::views::{exchange, free_views};
use crate::agent::ids::Full;
use crate::agent::plan::{Draft, Plan, Stage};
use crate::datapath::tables::{Kernel, Write};
use lb_common::server::{Method, ServerRef};
use lb_common::service::{SlotRange, View};
use lb_common::slots::{Slot, SlotState};
use lb_common::tracking::Epoch;
use std::collections::BTreeSet;

/// How the slots of untracked services stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether a slot has not settled, or a view names an older table.
    pub unsettled: bool,
    /// Servers that an open connection which no table knows may have.
    pub owners: BTreeSet<ServerRef>,
}

/// The writes for the time that has passed, and for a sweep if one has just found `deviating`: the slots (by index) from
/// which remembered flows deviate.
///
/// # Errors
///
/// [`Full`] if there is no free view; nothing has been written then.
pub fn settle(kernel: &Kernel, deviating: Option<&BTreeSet<u32>>, moment: Moment<'_>) -> Result<Plan, Full> {
    let mut draft = Draft::default();
    let mut free = free_views(kernel, moment.quarantine);
    for (id, view) in views(kernel) {
        let now = Epoch::at(moment.now, view.timeouts.established);
        let has_elder = view.old_slots.len > 0;
        if has_elder && Epoch::from_bits(view.old_mark).is_over(now) {
            let alone = View { old_slots: SlotRange::default(), old_pick: 0, old_mark: 0, ..*view };
            exchange(id, (free.take()?, alone), kernel, &mut draft);
        }
        // The slots are as old as the table before them; they must not be at rest before it is gone.
        if view.is_untracked() && !has_elder {
            let changes = changes(view, kernel, (deviating, now));
            if !changes.is_empty() {
                draft.push(Stage::Services, Write::Change(changes));
            }
        }
    }
    Ok(draft.finish())
}

fn views(kernel: &Kernel) -> impl Iterator<Item = (u32, &View)> {
    kernel.services.iter().filter_map(|(id, index)| Some((*id, kernel.views.get(index)?)))
}

fn changes(
    view: &View,
    kernel: &Kernel,
    (deviating, now): (Option<&BTreeSet<u32>>, Epoch),
) -> Vec<(u32, Slot)> {
    let slots = kernel.slots.get(&view.slots.first).into_iter().flatten();
    let after = |(index, slot): (u32, &Slot)| {
        let aged = slot.aged(is_nat(kernel, slot.current()), now);
        // A slot that has just come to rest was another one while the sweep looked.
        let swept = deviating.filter(|_| aged == *slot && is_able(kernel, slot.current()));
        let after = swept.map_or(aged, |deviating| aged.swept(deviating.contains(&index)));
        Some((index, after)).filter(|(_, after)| after != slot)
    };
    (view.slots.first..).zip(slots).filter_map(after).collect()
}

fn is_nat(kernel: &Kernel, reference: ServerRef) -> bool {
    kernel.servers.get(&reference.id()).is_some_and(|server| server.method == Method::Nat as u8)
}

impl Standing {
    /// How the slots stand in `kernel`.
    pub fn of(kernel: &Kernel) -> Self {
        let mut standing = Self::default();
        for (_, view) in views(kernel) {
            if view.old_slots.len > 0 {
                standing.unsettled = true;
                standing.note(kernel, view.old_slots);
            }
            if view.is_untracked() {
                standing.note(kernel, view.slots);
            }
        }
        standing
    }

    fn note(&mut self, kernel: &Kernel, range: SlotRange) {
        for slot in kernel.slots.get(&range.first).into_iter().flatten() {
            let (owner, unsettled) = match slot.state() {
                SlotState::Settled => (slot.current(), false),
                SlotState::Moving => (slot.previous(), true),
                SlotState::Lingering => (slot.current(), true),
                SlotState::Tracked => continue,
            };
            self.unsettled |= unsettled;
            self.owners.insert(owner);
        }
    }
}
