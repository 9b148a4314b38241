//! What is counted meanwhile: a packet for each server that a slot names, at every step. No sum of a service falls.

use super::machine::Machine;
use crate::datapath::tables::Write;
use std::collections::BTreeMap;

/// What servers counted, and what is kept of former ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    servers: BTreeMap<u32, u64>,
    /// By service; 0 is for services that are no more.
    kept: BTreeMap<u32, u64>,
}

impl Tally {
    /// Counts a packet for each of `servers`.
    pub(super) fn count(&mut self, servers: impl IntoIterator<Item = u32>) {
        for server in servers {
            *self.servers.entry(server).or_default() += 1;
        }
    }

    /// What `write` does to the counts; `service` is that of the server.
    pub(super) fn retire(&mut self, write: &Write, service: u32) {
        if let Write::RetireServer(id) = write {
            *self.kept.entry(service).or_default() += self.servers.remove(id).unwrap_or(0);
        } else if let Write::RetireService(id) = write {
            let kept = self.kept.remove(id).unwrap_or(0);
            *self.kept.entry(0).or_default() += kept;
        }
    }

    /// What a service has, as the agent adds it up.
    fn of_service(&self, id: u32, machine: &Machine) -> u64 {
        let is_ours = |server: &&u32| machine.servers.get(server).is_some_and(|entry| entry.service == id);
        let kept = self.kept.get(&id).copied().unwrap_or(0);
        kept + self.servers.keys().filter(is_ours).map(|server| self.servers[server]).sum::<u64>()
    }

    fn all(&self) -> u64 {
        self.servers.values().chain(self.kept.values()).sum()
    }
}

impl Machine {
    /// Every service counts on after `before`, a new one begins at zero, and nothing is lost of the whole.
    pub(super) fn check_tally(&self, before: &Self) -> Result<(), String> {
        for id in self.services.keys() {
            let has = self.tally.of_service(*id, self);
            let had = before.services.contains_key(id).then(|| before.tally.of_service(*id, before));
            if had.is_some_and(|had| has < had) || (had.is_none() && has > 0) {
                return Err(format!("service {id} had counted {had:?}, and now {has}"));
            }
        }
        let (had, has) = (before.tally.all(), self.tally.all());
        if has < had { Err(format!("of {had} packets {has} are left")) } else { Ok(()) }
    }
}
