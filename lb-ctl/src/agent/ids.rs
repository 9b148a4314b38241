//! Numbers in the kernel's tables: which are free, and which may not be given out yet.

use crate::datapath::tables::Kernel;
use lb_common::server::ServerState;
use lb_common::service::SlotRange;
use std::collections::BTreeSet;

/// A table has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for {wanted} more {what}: the limit is {limit}")]
pub struct Full {
    /// What there are too many of.
    pub what: &'static str,
    /// How many were wanted in one piece.
    pub wanted: u32,
    /// How many are possible.
    pub limit: u32,
}

/// What nothing in the tables names any more, but a packet on its way, or a connection, still may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quarantine {
    /// Service ids, until a grace period has passed.
    pub services: BTreeSet<u32>,
    /// Indices of views, until a grace period has passed.
    pub views: BTreeSet<u32>,
    /// Ranges of slots (first, length), until a grace period has passed.
    pub ranges: BTreeSet<(u32, u32)>,
    /// Indices of devices, until a grace period has passed.
    pub devices: BTreeSet<u32>,
    /// Server ids, until a grace period has passed and a sweep begun after it found no connection that names them.
    pub servers: BTreeSet<u32>,
}

impl Quarantine {
    /// Adds all of `other`.
    pub fn add(&mut self, other: Self) {
        self.services.extend(other.services);
        self.views.extend(other.views);
        self.ranges.extend(other.ranges);
        self.devices.extend(other.devices);
        self.servers.extend(other.servers);
    }

    /// Those of them that nothing in `kernel` names.
    #[must_use]
    pub fn unnamed_in(mut self, kernel: &Kernel) -> Self {
        let views: BTreeSet<u32> = kernel.services.values().copied().collect();
        let used = views.iter().filter_map(|view| kernel.views.get(view));
        let ranges: BTreeSet<_> = used
            .flat_map(|view| [view.slots, view.old_slots])
            .map(|range| (range.first, range.len))
            .collect();
        let gone =
            |id: &u32| kernel.servers.get(id).is_none_or(|server| server.state == ServerState::Gone as u8);
        self.services.retain(|id| !kernel.services.contains_key(id));
        self.views.retain(|view| !views.contains(view));
        self.ranges.retain(|range| !ranges.contains(range));
        self.devices.retain(|device| kernel.interfaces.keys().all(|other| u32::from(*other) != *device));
        self.servers.retain(gone);
        self
    }

    /// Whether something waits for no more than a grace period.
    pub fn waits_for_grace(&self) -> bool {
        !(self.services.is_empty()
            && self.views.is_empty()
            && self.ranges.is_empty()
            && self.devices.is_empty())
    }

    /// Frees all that waited for a grace period.
    pub fn grace_passed(&mut self) {
        let servers = std::mem::take(&mut self.servers);
        *self = Self { servers, ..Self::default() };
    }

    /// Frees those of `waited` that a sweep found no connection to name; the sweep began after a grace period in which
    /// all of `waited` were here.
    pub fn swept(&mut self, waited: &BTreeSet<u32>, is_named: impl Fn(u32) -> bool) {
        self.servers.retain(|id| !waited.contains(id) || is_named(*id));
    }

    pub(super) fn holds_range(&mut self, range: SlotRange) {
        if range.len > 0 {
            self.ranges.insert((range.first, range.len));
        }
    }
}

/// Gives out the lowest numbers that are free, from 1 on.
#[derive(Debug)]
pub struct Ids {
    what: &'static str,
    limit: u32,
    busy: BTreeSet<u32>,
    next: u32,
}

impl Ids {
    /// Numbers below `limit` that are not in `busy`.
    pub fn new(what: &'static str, limit: u32, busy: impl IntoIterator<Item = u32>) -> Self {
        Self { what, limit, busy: busy.into_iter().collect(), next: 1 }
    }

    /// The number `wanted` if it is free, else the next free one.
    ///
    /// # Errors
    ///
    /// [`Full`] if all are busy.
    pub fn take_near(&mut self, wanted: u32) -> Result<u32, Full> {
        let is_number = (1..self.limit).contains(&wanted);
        let id = if is_number && !self.busy.contains(&wanted) { wanted } else { self.take()? };
        self.busy.insert(id);
        Ok(id)
    }

    /// The next free number.
    ///
    /// # Errors
    ///
    /// [`Full`] if all are busy.
    pub fn take(&mut self) -> Result<u32, Full> {
        let free = (self.next..self.limit).find(|id| !self.busy.contains(id));
        let id = free.ok_or(Full { what: self.what, wanted: 1, limit: self.limit.saturating_sub(1) })?;
        self.next = id.saturating_add(1);
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::server::{Interface, Server};
    use lb_common::service::View;

    #[test]
    fn free_numbers_come_in_order_and_end() {
        let mut ids = Ids::new("views", 6, [2, 4, 9]);
        assert_eq!([ids.take(), ids.take(), ids.take()], [Ok(1), Ok(3), Ok(5)]);
        assert_eq!(ids.take(), Err(Full { what: "views", wanted: 1, limit: 5 }));
    }

    #[test]
    fn a_number_that_is_wanted_is_given_once() {
        let mut ids = Ids::new("devices", 6, [2]);
        let wanted = [5, 5, 2, 0, 7].map(|wanted| ids.take_near(wanted));
        assert_eq!(wanted[..3], [Ok(5), Ok(1), Ok(3)]);
        assert_eq!((&wanted[3], wanted[4].is_err()), (&Ok(4), true));
    }

    #[test]
    fn what_the_kernel_names_still_was_not_freed() {
        let freed = || Quarantine {
            services: [1, 2].into(),
            views: [1, 2].into(),
            ranges: [(10, 4), (20, 4)].into(),
            devices: [1, 2].into(),
            servers: [1, 2, 3].into(),
        };
        let server = |state: ServerState| Server { state: state as u8, ..Server::default() };
        let view = View { slots: SlotRange { first: 10, len: 4 }, ..View::default() };
        let kernel = Kernel {
            services: [(1, 1)].into(),
            views: [(1, view), (2, View { slots: SlotRange { first: 20, len: 4 }, ..view })].into(),
            servers: [(1, server(ServerState::NoNew)), (2, server(ServerState::Gone))].into(),
            interfaces: [(1, Interface::default())].into(),
            ..Kernel::default()
        };
        let want = Quarantine {
            services: [2].into(),
            views: [2].into(),
            ranges: [(20, 4)].into(),
            devices: [2].into(),
            servers: [2, 3].into(),
        };
        assert_eq!(freed().unnamed_in(&kernel), want);
        assert_eq!(freed().unnamed_in(&Kernel::default()), freed());
    }

    #[test]
    fn a_sweep_frees_servers_that_waited_and_have_no_connection() {
        let mut quarantine = Quarantine { servers: [1, 2, 3].into(), ..Quarantine::default() };
        quarantine.swept(&[1, 2].into(), |id| id == 2);
        assert_eq!(quarantine.servers, [2, 3].into());
    }

    #[test]
    fn grace_frees_everything_but_servers() {
        let mut quarantine =
            Quarantine { services: [1].into(), servers: [2].into(), ..Quarantine::default() };
        quarantine.add(Quarantine { ranges: [(1, 8)].into(), ..Quarantine::default() });
        assert!(quarantine.waits_for_grace());
        quarantine.grace_passed();
        assert!(!quarantine.waits_for_grace());
        assert_eq!(quarantine, Quarantine { servers: [2].into(), ..Quarantine::default() });
    }
}
