//! A program is attached before the change that asks for it is stored: an agent that dies in between leaves a note, and the
//! next one takes the program off again.

use super::writer::Writer;
use crate::api::Failure;
use crate::config::model::{Config, Interface};
use crate::datapath::DatapathError;
use crate::store::Attaching;

impl Writer {
    /// Notes the interfaces that `new` has and the configuration in force has not.
    pub(super) fn note_attaching(&self, new: &Config) -> Result<Attaching, Failure> {
        let known = |name: &String| names(&self.stored.config).any(|known| known == name);
        let attaching = names(new).filter(|name| !known(name)).cloned().collect();
        Ok(self.store.note_attaching(&attaching)?)
    }

    /// Takes the program off what was attached for a change that was never stored.
    pub(super) fn undo_attaching(&mut self) {
        let (unfinished, note) = match self.store.unfinished_attaching() {
            Ok(unfinished) => unfinished,
            Err(error) => return tracing::error!(%error, "could not read what was being attached"),
        };
        let mut stay = false;
        for name in unfinished {
            if names(&self.stored.config).any(|known| *known == name) {
                continue;
            }
            match self.datapath.detach(&name) {
                Ok(()) => tracing::info!(interface = name, "took back an attach that was not finished"),
                Err(DatapathError::NotAttached { .. }) => {}
                Err(error) => {
                    tracing::error!(%error, "could not take back an attach");
                    stay = true;
                }
            }
        }
        if stay {
            note.keep();
        }
    }
}

fn names(config: &Config) -> impl Iterator<Item = &String> {
    config.interfaces.iter().map(|Interface { name, .. }| name)
}
