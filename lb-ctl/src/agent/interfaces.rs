//! Attaching and detaching what a change of the configuration asks for, and taking that back.

use super::converge::failure;
use super::writer::Writer;
use crate::api::Failure;
use crate::config::model::{Config, Interface};
use crate::datapath::DatapathError;

impl Writer {
    /// Attaches and detaches what differs. When one fails, those before it are undone.
    pub(super) fn switch_interfaces(&mut self, new: &Config) -> Result<Vec<Undo>, Failure> {
        let old = self.stored.config.interfaces.clone();
        let mut done = Vec::new();
        for interface in &new.interfaces {
            if !self.must_attach(interface, &old) {
                continue;
            }
            let before = old.iter().find(|before| before.name == interface.name).cloned();
            if let Err(error) = self.datapath.attach(&interface.name, interface.mode) {
                self.switch_back(done);
                return Err(failure(&error));
            }
            done.push(before.map_or_else(|| Undo::Detach(interface.name.clone()), Undo::Attach));
        }
        for interface in
            old.iter().filter(|before| !new.interfaces.iter().any(|after| after.name == before.name))
        {
            match self.datapath.detach(&interface.name) {
                Ok(()) | Err(DatapathError::NotAttached { .. }) => {
                    done.push(Undo::Attach(interface.clone()));
                }
                Err(error) => {
                    self.switch_back(done);
                    return Err(failure(&error));
                }
            }
        }
        Ok(done)
    }

    fn must_attach(&self, interface: &Interface, old: &[Interface]) -> bool {
        let there =
            self.datapath.attachments().is_ok_and(|all| all.iter().any(|(name, _)| *name == interface.name));
        !old.contains(interface) || (!there && self.observed.link(&interface.name).is_some())
    }

    /// Takes back what [`Writer::switch_interfaces`] did; `false` if some of it stays.
    pub(super) fn switch_back(&mut self, done: Vec<Undo>) -> bool {
        let mut all = true;
        for undo in done.into_iter().rev() {
            let undone = match &undo {
                Undo::Attach(interface) => self.datapath.attach(&interface.name, interface.mode).map(drop),
                Undo::Detach(name) => self.datapath.detach(name),
            };
            if let Err(error) = undone {
                tracing::error!(%error, ?undo, "could not take back a change of an interface");
                all = false;
            }
        }
        all
    }
}

/// How a change of an interface is taken back.
#[derive(Debug)]
pub(super) enum Undo {
    Attach(Interface),
    Detach(String),
}
