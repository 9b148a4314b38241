//! Servers that leave: they go when their last connection has ended.

use super::identity::Identity;
use super::journal::News;
use super::writer::Writer;
use crate::api::{EventKind, Level};
use crate::config::intent::Leaving;
use lb_common::server::ServerRef;
use std::collections::BTreeSet;

impl Writer {
    /// Lets go of the servers that two sweeps in a row found without a connection.
    pub(super) fn let_go(&mut self) {
        let empty: BTreeSet<ServerRef> = self
            .stored
            .intent
            .leaving
            .iter()
            .filter_map(|leaving| self.reference(leaving))
            .filter(|reference| {
                !self.sweeper.report.named.contains_key(&reference.id()) && !self.owners.contains(reference)
            })
            .collect();
        let was_empty = std::mem::replace(&mut self.empty, empty);
        let ended = |leaving: &Leaving| {
            self.reference(leaving)
                .is_some_and(|reference| self.empty.contains(&reference) && was_empty.contains(&reference))
        };
        let (gone, stay): (Vec<_>, Vec<_>) = self.stored.intent.leaving.iter().cloned().partition(ended);
        if gone.is_empty() {
            return;
        }
        let mut next = self.stored.clone();
        next.intent.leaving = stay;
        if let Err(error) = self.store.save(&next) {
            return tracing::error!(%error, "could not store that a server has left");
        }
        for Leaving { service, pool, server, .. } in gone {
            let text = format!("its last connection ended: it has left {service}");
            let subject = format!("{pool}/{}", server.name);
            self.journal.record(News::new(Level::Info, EventKind::Server, &subject, text));
        }
        self.stored = next;
        self.converge();
    }

    fn reference(&self, leaving: &Leaving) -> Option<ServerRef> {
        let identity = Identity::from(&leaving.server);
        let references = self.names.server_references();
        references
            .into_iter()
            .find(|(_, service, server)| {
                service.name == leaving.service && Identity::from(*server) == identity
            })
            .map(|(reference, ..)| reference)
    }
}
