//! Reading the tables back from the kernel.

use super::error::Result;
use super::maps::Maps;
use super::tables::{Capacities, Kernel, found};
use lb_common::counters::Settings;
use lb_common::index::Indexed;
use lb_common::server::{Interface, MAX_DEVICES, Server};
use lb_common::service::{SlotRange, View};
use lb_common::slots::Slot;
use std::collections::BTreeMap;

impl Maps {
    /// The tables, as they are in the kernel now. Nothing comes from memory of what was written.
    pub(super) fn snapshot(&self) -> Result<Kernel> {
        let services = self.read_services();
        let views: BTreeMap<u32, View> =
            services.values().filter_map(|index| Some((*index, self.view(*index)?))).collect();
        let service_index = self.read_service_index();
        let vip = |id: u32| services.get(&id).and_then(|view| views.get(view)).map(|view| view.address);
        let (service_keys, stale_keys) = found(&self.read_service_keys()?, &service_index, vip);
        Ok(Kernel {
            service_keys,
            stale_keys,
            service_index,
            slots: self.read_slots(&views)?,
            servers: (1..self.servers.entries())
                .filter_map(|id| Some((id, self.known_server(id)?)))
                .collect(),
            nat_hosts: self.read_nat_hosts()?,
            interfaces: self.read_interfaces()?,
            settings: self.settings(),
            capacities: self.capacities(),
            services,
            views,
        })
    }

    /// How many entries the tables have room for.
    pub(super) fn capacities(&self) -> Capacities {
        Capacities {
            connections: self.connections.entries(),
            half_open: self.half_open.entries(),
            service_keys: self.service_keys.entries(),
            services: self.services.entries(),
            views: self.views.entries(),
            servers: self.servers.entries(),
            nat_hosts: self.nat_hosts.entries(),
            slots: self.slots.entries(),
        }
    }

    /// `SETTINGS`.
    pub(super) fn settings(&self) -> Settings {
        self.settings.get(0).map(|words| zerocopy::transmute!(words)).unwrap_or_default()
    }

    /// An element of `VIEWS`.
    pub(super) fn view(&self, index: u32) -> Option<View> {
        self.views.get(index).map(|words| zerocopy::transmute!(words))
    }

    /// The view that a service points to now.
    pub(super) fn view_of(&self, service: u32) -> Option<View> {
        let [index] = self.services.get(service)?;
        self.view(u32::try_from(index).ok().filter(|index| *index != 0)?)
    }

    /// An element of `SERVERS`.
    pub(super) fn server(&self, id: u32) -> Option<Server> {
        self.servers.get(id).map(|words| zerocopy::transmute!(words))
    }

    pub(super) fn known_server(&self, id: u32) -> Option<Server> {
        self.server(id).filter(|server| *server != Server::default())
    }

    fn read_services(&self) -> BTreeMap<u32, u32> {
        (1..self.services.entries())
            .filter_map(|id| {
                let [index] = self.services.get(id)?;
                Some((id, u32::try_from(index).ok().filter(|index| *index != 0)?))
            })
            .collect()
    }

    fn read_service_keys(&self) -> Result<BTreeMap<lb_common::service::ServiceKey, u32>> {
        let mut keys = BTreeMap::new();
        self.service_keys.for_each(|key, id| {
            keys.insert(*key, *id);
            Ok(())
        })?;
        Ok(keys)
    }

    fn read_service_index(&self) -> BTreeMap<u32, Indexed> {
        (0..self.service_index.entries())
            .filter_map(|place| {
                let [word] = self.service_index.get(place)?;
                (word != 0).then_some((place, Indexed(word)))
            })
            .collect()
    }

    fn read_nat_hosts(&self) -> Result<BTreeMap<lb_common::address::Address, u32>> {
        let mut hosts = BTreeMap::new();
        self.nat_hosts.for_each(|address, id| {
            hosts.insert(*address, *id);
            Ok(())
        })?;
        Ok(hosts)
    }

    /// A range from slot 0 or beyond the end, which no agent wrote, is left out.
    fn read_slots(&self, views: &BTreeMap<u32, View>) -> Result<BTreeMap<u32, Vec<Slot>>> {
        let limit = self.slots.entries();
        let is_range = |range: &SlotRange| {
            range.first > 0 && range.first.saturating_add(range.len) <= limit && range.len > 0
        };
        let ranges = views.values().flat_map(|view| [view.slots, view.old_slots]).filter(is_range);
        let mut slots = BTreeMap::new();
        for range in ranges {
            let window = self.slots.window(range.first, range.len as usize)?;
            slots.insert(
                range.first,
                (0..range.len as usize).filter_map(|slot| window.load(slot)).map(Slot).collect(),
            );
        }
        Ok(slots)
    }

    /// The devices, without those that the kernel dropped from `DEVICES` because their interface went away.
    fn read_interfaces(&self) -> Result<BTreeMap<u16, Interface>> {
        let mut interfaces = BTreeMap::new();
        for index in 1..MAX_DEVICES.min(self.interfaces.entries()) {
            let Some(interface) = self.interfaces.get(&index)? else { continue };
            let target = if interface.ifindex == 0 { None } else { self.devices.get(&index)? };
            if target.is_some_and(|device| device.ifindex == interface.ifindex)
                && self.interface_keys.get(&interface.ifindex)? == Some(index)
                && let Ok(device) = u16::try_from(index)
            {
                interfaces.insert(device, interface);
            }
        }
        Ok(interfaces)
    }
}
