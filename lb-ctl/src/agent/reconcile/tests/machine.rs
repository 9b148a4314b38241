//! A kernel that is simulated: takes writes one by one and says after each what a packet would find wrong.

use super::tally::Tally;
use crate::agent::ids::Quarantine;
use crate::datapath::tables::{Capacities, Kernel, Write, found};
use lb_common::address::Address;
use lb_common::counters::Settings;
use lb_common::index::Indexed;
use lb_common::maps::{MAX_SLOTS, MAX_VIEWS, SETTING_ANY_PORT, SETTING_NAT};
use lb_common::server::{Interface, Method, Server, ServerRef, ServerState};
use lb_common::service::{ServiceKey, SlotRange, View};
use lb_common::slots::Slot;
use std::collections::{BTreeMap, BTreeSet};

/// Every table as the kernel has it, used entries and others.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    pub(super) keys: BTreeMap<ServiceKey, u32>,
    pub(super) index: BTreeMap<u32, Indexed>,
    pub(super) services: BTreeMap<u32, u32>,
    pub(super) views: BTreeMap<u32, View>,
    pub(super) slots: BTreeMap<u32, Slot>,
    pub(super) servers: BTreeMap<u32, Server>,
    pub(super) hosts: BTreeMap<Address, u32>,
    pub(super) interfaces: BTreeMap<u16, Interface>,
    pub(super) settings: Settings,
    pub(super) tally: Tally,
}

/// A server as a packet meets it, without its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) address: Address,
    pub(super) port: u16,
    pub(super) method: u8,
    pub(super) state: u8,
    pub(super) mtu: u16,
    pub(super) source: (Address, u8),
    pub(super) way: Option<(u32, [u8; 6])>,
}

/// What a packet for one key meets: the view without its slot range, and the server of each slot.
pub(super) type Meets = (View, Vec<Target>);

impl Machine {
    /// Writes, or says which rule that breaks. `held` is what must not be touched.
    pub(super) fn write(&mut self, write: &Write, held: &Quarantine) -> Result<(), String> {
        self.refuse(write, held)?;
        self.tally.count(self.named_servers());
        let before = self.clone();
        self.put(write);
        self.check()?;
        self.check_tally(&before)
    }

    /// Writes, whatever comes of it.
    pub(super) fn put(&mut self, write: &Write) {
        match write.clone() {
            Write::Settings(settings) => self.settings = settings,
            Write::Interface(device, interface) => {
                put(&mut self.interfaces, device, Some(interface).filter(|i| i.ifindex != 0));
            }
            Write::NatHost(address, id) => put(&mut self.hosts, address, id),
            Write::Server(id, server) => put(&mut self.servers, id, Some(server)),
            Write::ServerState(id, state) => self.server(id).state = state as u8,
            Write::NextHop(id, next_hop) => self.server(id).next_hop = next_hop,
            Write::ServerMtu(id, mtu) => self.server(id).mtu = mtu,
            Write::ServerSource(id, source, source_bits) => {
                let server = self.server(id);
                (server.source, server.source_bits) = (source, source_bits);
            }
            Write::Slots(first, slots) => self.slots.extend((first..).zip(slots)),
            Write::Change(slots) => self.slots.extend(slots),
            Write::View(index, view) => put(&mut self.views, index, Some(view)),
            Write::Service(id, view) => put(&mut self.services, id, Some(view).filter(|view| *view != 0)),
            Write::ServiceKey(key, id) => put(&mut self.keys, key, id),
            Write::Index(place, word) => {
                put(&mut self.index, place, Some(word).filter(|word| *word != Indexed::NONE));
            }
            Write::RetireService(_) => self.tally.retire(write, 0),
            Write::RetireServer(id) => {
                let service = self.servers.get(&id).map_or(0, |server| server.service);
                self.tally.retire(write, service);
            }
        }
    }

    fn server(&mut self, id: u32) -> &mut Server {
        self.servers.get_mut(&id).expect("a server that changes is there")
    }

    /// Nothing that a packet may be reading is written in pieces.
    fn refuse(&self, write: &Write, held: &Quarantine) -> Result<(), String> {
        let used = |range: SlotRange| range.first..range.first + range.len;
        let breaks = match write {
            Write::Server(id, _) => held.servers.contains(id) || self.named_servers().contains(id),
            Write::RetireServer(id) => self.servers.get(id).is_some_and(|server| {
                let is_held = held.servers.contains(id) && held.services.contains(&server.service);
                is_held || server.state != ServerState::Gone as u8
            }),
            Write::View(index, _) => {
                held.views.contains(index) || self.services.values().any(|view| view == index)
            }
            Write::Slots(first, slots) => {
                let end = first + u32::try_from(slots.len()).unwrap_or(u32::MAX);
                let ranges = |view: &u32| [self.views[view].slots, self.views[view].old_slots];
                let live = self.services.values().flat_map(ranges).map(used);
                let kept = held.ranges.iter().map(|(first, len)| *first..first + len);
                live.chain(kept).any(|range| range.start < end && *first < range.end)
            }
            Write::Service(id, _) | Write::RetireService(id) => held.services.contains(id),
            Write::Interface(device, _) => held.devices.contains(&u32::from(*device)),
            Write::Settings(_)
            | Write::NatHost(..)
            | Write::ServerState(..)
            | Write::NextHop(..)
            | Write::ServerMtu(..)
            | Write::ServerSource(..)
            | Write::ServiceKey(..)
            | Write::Index(..) => false,
            Write::Change(slots) => slots.iter().any(|(index, _)| !self.slots.contains_key(index)),
        };
        if breaks { Err(format!("{write:?} touches what is in use")) } else { Ok(()) }
    }

    fn named_servers(&self) -> BTreeSet<u32> {
        self.services
            .values()
            .flat_map(|view| self.range(self.views[view].slots))
            .map(|slot| slot.current().id())
            .collect()
    }

    fn range(&self, range: SlotRange) -> Vec<Slot> {
        (range.first..range.first + range.len)
            .map(|index| self.slots.get(&index).copied().unwrap_or_default())
            .collect()
    }

    /// Every key leads to a whole view that fits it, and every slot to a server that was written.
    pub(super) fn check(&self) -> Result<(), String> {
        for (key, id) in &self.found() {
            let found = self.services.get(id).and_then(|view| self.views.get(view));
            let view = found.ok_or(format!("{key:?} leads to no service"))?;
            let fits = view.address == key.address && view.protocol == key.protocol;
            if !fits || (view.port.get() != 0 && view.port != key.port) {
                return Err(format!("{key:?} leads to a view of another service"));
            }
            if key.port.get() == 0 && self.settings.flags & SETTING_ANY_PORT == 0 {
                return Err("a service for any port that the program does not look for".into());
            }
            self.range(view.slots).into_iter().try_for_each(|slot| self.check_slot(*id, slot.current()))?;
        }
        Ok(())
    }

    fn check_slot(&self, service: u32, reference: ServerRef) -> Result<(), String> {
        let server = self
            .servers
            .get(&reference.id())
            .ok_or(format!("a slot names {reference:?}, which was never written"))?;
        if server.state_of(reference) == ServerState::Gone || server.service != service {
            return Err(format!("a slot of service {service} names {reference:?}, which is {server:?}"));
        }
        if server.next_hop.is_known() && !self.interfaces.contains_key(&server.next_hop.device) {
            return Err(format!("{server:?} leaves by a device that is not there"));
        }
        let nat = server.method == Method::Nat as u8;
        if nat
            && (self.hosts.get(&server.address) != Some(&server.host)
                || self.settings.flags & SETTING_NAT == 0)
        {
            return Err(format!("answers of {server:?} are not looked for"));
        }
        Ok(())
    }

    /// What each key's packets meet.
    pub(super) fn meets(&self) -> BTreeMap<ServiceKey, Meets> {
        let view = |id: &u32| self.views[&self.services[id]];
        let meets = |id: &u32| {
            let targets = self.range(view(id).slots).into_iter().map(|slot| self.target(slot.current()));
            (alone(view(id)), targets.collect())
        };
        self.found().iter().map(|(key, id)| (*key, meets(id))).collect()
    }

    fn target(&self, reference: ServerRef) -> Target {
        let server = &self.servers[&reference.id()];
        let way = self
            .interfaces
            .get(&server.next_hop.device)
            .map(|interface| (interface.ifindex, server.next_hop.mac));
        Target {
            address: server.address,
            port: server.port.get(),
            method: server.method,
            state: server.state,
            mtu: server.mtu,
            source: (server.source, server.source_bits),
            way,
        }
    }

    /// Keys whose new flows find a server that takes them.
    pub(super) fn served(&self) -> BTreeSet<ServiceKey> {
        let up = |meets: &Meets| meets.1.iter().any(|target| target.state == ServerState::Up as u8);
        self.meets().into_iter().filter(|(_, meets)| up(meets)).map(|(key, _)| key).collect()
    }

    /// Keys that leave a service which itself takes keys of another one.
    pub(super) fn exchanged(&self, writes: &[Write]) -> BTreeSet<ServiceKey> {
        let moves = |write: &Write| {
            let Write::ServiceKey(key, Some(to)) = write else { return None };
            self.keys.get(key).map(|from| (*key, *from, *to))
        };
        let moves: Vec<_> = writes.iter().filter_map(moves).collect();
        let takes = |id: u32| moves.iter().any(|(_, _, to)| *to == id);
        moves.iter().filter(|(_, from, to)| takes(*from) && takes(*to)).map(|(key, ..)| *key).collect()
    }

    /// What an agent reads back: entries that nothing points to are not seen.
    pub(super) fn read_back(&self) -> Kernel {
        let there = |index: &&u32| **index < MAX_VIEWS;
        let view = |index: &u32| (*index, self.views.get(index).copied().unwrap_or_default());
        let views: BTreeMap<u32, View> = self.services.values().filter(there).map(view).collect();
        let fits = |range: &SlotRange| range.first > 0 && range.first.saturating_add(range.len) <= MAX_SLOTS;
        let ranges = views.values().flat_map(|view| [view.slots, view.old_slots]);
        let ranges = ranges.filter(|range| range.len > 0).filter(fits);
        let (service_keys, stale_keys) = found(&self.keys, &self.index, |id| self.vip(id));
        Kernel {
            service_keys,
            stale_keys,
            service_index: self.index.clone(),
            services: self.services.clone(),
            slots: ranges.map(|range| (range.first, self.range(range))).collect(),
            views,
            servers: self.servers.clone(),
            nat_hosts: self.hosts.clone(),
            interfaces: self.interfaces.clone(),
            settings: self.settings,
            capacities: Capacities::default(),
        }
    }

    /// Whether no two addresses have the same host id.
    pub(super) fn hosts_differ(&self) -> bool {
        self.hosts.values().collect::<BTreeSet<_>>().len() == self.hosts.len()
    }

    /// Ids of servers that are gone.
    pub(super) fn gone(&self) -> BTreeSet<u32> {
        let gone = |server: &Server| ServerState::from_byte(server.state) == ServerState::Gone;
        self.servers.iter().filter(|(_, server)| gone(server)).map(|(id, _)| *id).collect()
    }

    /// What must be true of the tables that nobody meets: no server, host or device is left over.
    pub(super) fn leftovers(&self) -> (usize, usize, usize, Settings) {
        (self.servers.len() - self.gone().len(), self.hosts.len(), self.interfaces.len(), self.settings)
    }
}

/// A view without the places of its slots.
fn alone(view: View) -> View {
    let none = SlotRange::default();
    View { slots: none, old_slots: none, old_pick: 0, old_mark: 0, ..view }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    if let Some(value) = value {
        map.insert(key, value);
    } else {
        map.remove(&key);
    }
}
