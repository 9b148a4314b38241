//! Writing the tables, one change at a time, in the order that the caller found safe.

use super::error::{Result, kernel};
use super::maps::{Device, Maps};
use super::tables::Write;
use crate::fault;
use lb_common::address::Address;
use lb_common::counters::Settings;
use lb_common::server::{Interface, NextHop, Server, ServerState};
use lb_common::service::View;
use lb_common::slots::Slot;

/// Words of an element of `SERVERS` that change in place.
mod server_word {
    use super::Server;
    use std::mem::offset_of;

    pub(super) const NEXT_HOP: usize = offset_of!(Server, next_hop) / 8;
    /// The word with state, method, generation, path MTU and port.
    pub(super) const STATE: usize = offset_of!(Server, state) / 8;
    /// The first of two.
    pub(super) const SOURCE: usize = offset_of!(Server, source) / 8;
    const _: () = assert!(
        offset_of!(Server, source_bits) / 8 == STATE,
        "the varying bits are in the word with the state"
    );
    const _: () = assert!(offset_of!(Server, mtu) / 8 == STATE, "the path MTU is in the word with the state");
}

/// Words of `SETTINGS`.
mod settings_word {
    use super::Settings;
    use std::mem::offset_of;

    pub(super) const HEARTBEAT: usize = offset_of!(Settings, heartbeat) / 8;
    pub(super) const HOLD: usize = offset_of!(Settings, hold_until) / 8;
    const _: () = assert!(HEARTBEAT == 2 && HOLD == 3, "what the agent chooses comes first");
}

/// The settings, to take a word of them.
type SettingsWords = [u64; 4];

/// A server of eight words, to change bytes in one of them.
type ServerWords = [u64; 8];

impl Maps {
    /// Makes the change `write`.
    pub(super) fn write(&self, write: &Write) -> Result<()> {
        match write {
            Write::Settings(settings) => self.write_settings(*settings),
            Write::Interface(device, interface) => self.write_interface(u32::from(*device), interface),
            Write::NatHost(address, Some(id)) => self.nat_hosts.set(address, id),
            Write::NatHost(address, None) => self.nat_hosts.remove(address).map(drop),
            Write::Server(id, server) => self.write_server(*id, *server),
            Write::ServerState(id, state) => self.write_server_state(*id, *state),
            Write::NextHop(id, next_hop) => self.write_next_hop(*id, *next_hop),
            Write::ServerMtu(id, mtu) => {
                self.change_server(*id, server_word::STATE, |server| server.mtu = *mtu)
            }
            Write::ServerSource(id, source, bits) => self.write_source(*id, *source, *bits),
            Write::Slots(first, slots) => self.write_slots(*first, slots),
            Write::Change(slots) => self.change_slots(slots),
            Write::View(index, view) => self.write_view(*index, *view),
            Write::Service(id, view) => {
                stored("a service", || self.services.set_word(*id, 0, u64::from(*view)))
            }
            Write::ServiceKey(key, Some(id)) => self.service_keys.set(key, id),
            Write::ServiceKey(key, None) => self.service_keys.remove(key).map(drop),
            Write::Index(place, word) => {
                stored("the index of services", || self.service_index.set_word(*place, 0, word.0))
            }
            Write::RetireService(id) => {
                self.retire_service(*id)?;
                self.sequence.set(id, &0)
            }
            Write::RetireServer(id) => self.retire_server(*id),
        }
    }

    /// Stores the first two words of `SETTINGS`, whose fields do not depend on each other. The others are stored when
    /// what they say happens.
    pub(super) fn write_settings(&self, settings: Settings) -> Result<()> {
        let words: SettingsWords = zerocopy::transmute!(settings);
        stored("the settings", || {
            let chosen = words.iter().enumerate().take(settings_word::HEARTBEAT);
            chosen.into_iter().try_for_each(|(place, word)| self.settings.set_word(0, place, *word))
        })
    }

    /// Notes that an agent is there, `now` in seconds since 1970.
    pub(super) fn write_heartbeat(&self, now: u64) -> Result<()> {
        self.settings.set_word(0, settings_word::HEARTBEAT, now)
    }

    /// Has packets of unknown flows wait until `until`, in milliseconds of the coarse clock; 0 ends that.
    pub(super) fn write_hold(&self, until: u32) -> Result<()> {
        let settings = Settings { hold_until: until, ..Settings::default() };
        let words: SettingsWords = zerocopy::transmute!(settings);
        let word = words.get(settings_word::HOLD).copied().unwrap_or_default();
        self.settings.set_word(0, settings_word::HOLD, word)
    }

    /// The word with the state is stored last: until then the entry says what it said, that it is gone.
    fn write_server(&self, id: u32, server: Server) -> Result<()> {
        let words: ServerWords = zerocopy::transmute!(server);
        let mut rest = words.iter().enumerate().filter(|(place, _)| *place != server_word::STATE);
        stored("a server", || rest.try_for_each(|(place, word)| self.servers.set_word(id, place, *word)))?;
        self.change_server(id, server_word::STATE, |old| *old = server)
    }

    fn write_server_state(&self, id: u32, state: ServerState) -> Result<()> {
        self.change_server(id, server_word::STATE, |server| server.state = state as u8)
    }

    /// No bit varies while the source changes: a flow's own source is never made of an address that is no prefix.
    fn write_source(&self, id: u32, source: Address, bits: u8) -> Result<()> {
        self.change_server(id, server_word::STATE, |server| server.source_bits = 0)?;
        self.change_server(id, server_word::SOURCE, |server| server.source = source)?;
        self.change_server(id, server_word::SOURCE + 1, |server| server.source = source)?;
        self.change_server(id, server_word::STATE, |server| server.source_bits = bits)
    }

    fn write_next_hop(&self, id: u32, next_hop: NextHop) -> Result<()> {
        self.change_server(id, server_word::NEXT_HOP, |server| server.next_hop = next_hop)
    }

    /// Changes fields of a server that are in one word, by one store. This process is the only writer.
    fn change_server(&self, id: u32, place: usize, change: impl FnOnce(&mut Server)) -> Result<()> {
        let mut words: ServerWords = [0; 8];
        let old = self.servers.word(id, place)?;
        if let Some(word) = words.get_mut(place) {
            *word = old;
        }
        let mut server: Server = zerocopy::transmute!(words);
        change(&mut server);
        let words: ServerWords = zerocopy::transmute!(server);
        let word = words.get(place).copied().unwrap_or(old);
        stored("a word of a server", || self.servers.set_word(id, place, word))
    }

    fn write_view(&self, index: u32, view: View) -> Result<()> {
        let words: [u64; 8] = zerocopy::transmute!(view);
        stored("a view", || {
            words.iter().enumerate().try_for_each(|(place, word)| self.views.set_word(index, place, *word))
        })
    }

    fn write_slots(&self, first: u32, slots: &[Slot]) -> Result<()> {
        if slots.is_empty() {
            return Ok(());
        }
        let window = self.slots.window(first, slots.len())?;
        stored("slots", || {
            for (place, slot) in slots.iter().enumerate() {
                window.store(place, slot.0);
            }
            Ok(())
        })
    }

    fn change_slots(&self, slots: &[(u32, Slot)]) -> Result<()> {
        let indices = slots.iter().map(|(index, _)| *index);
        let (Some(first), Some(last)) = (indices.clone().min(), indices.max()) else { return Ok(()) };
        let window = self.slots.window(first, (last - first) as usize + 1)?;
        stored("slots", || {
            for (index, slot) in slots {
                window.store((index - first) as usize, slot.0);
            }
            Ok(())
        })
    }

    /// The key is removed first and set last: what the program finds through it is whole. The MAC address or MTU of a
    /// device in use changes by a copy: a frame that leaves at that moment may carry half of each.
    fn write_interface(&self, device: u32, interface: &Interface) -> Result<()> {
        let old = self.interfaces.get(&device)?.map_or(0, |old| old.ifindex);
        if old != 0 && old != interface.ifindex && self.interface_keys.get(&old)? == Some(device) {
            self.interface_keys.remove(&old)?;
        }
        if interface.ifindex == 0 {
            self.devices.remove(&device)?;
            return self.interfaces.set(&device, interface);
        }
        if old != interface.ifindex {
            // The program goes by the number: all else is there when that is.
            self.interfaces.set(&device, &Interface { ifindex: 0, ..*interface })?;
        }
        self.interfaces.set(&device, interface)?;
        self.devices.set(&device, &Device { ifindex: interface.ifindex, program: 0 })?;
        self.interface_keys.set(&interface.ifindex, &device)
    }
}

/// Stores words of mapped memory between two points of [`fault`].
fn stored(what: &'static str, store: impl FnOnce() -> Result<()>) -> Result<()> {
    fault::before(what).map_err(kernel(format!("write {what}")))?;
    store()?;
    fault::after(what);
    Ok(())
}
