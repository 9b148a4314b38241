//! What the operator should know beside a change itself.

use super::change::users;
use super::writer::Writer;
use crate::api::Change;
use crate::config::intent::ServerName;
use crate::config::model::{Protocol, Service};
use std::time::Duration;

impl Writer {
    /// What the operator should know beside the change itself.
    pub(super) fn notes(&self, change: &Change) -> Vec<String> {
        let mut notes = Vec::new();
        if let Change::ServiceAdd(service) = change
            && self.observed.addresses.iter().any(|local| local.address == service.vip)
            && !self.stored.placed.contains_key(&service.vip)
        {
            let (vip, port, protocol) = (service.vip, &service.port, service.protocol);
            notes.push(format!(
                "{vip} is an address of this host: port {port}/{protocol} of it is forwarded now"
            ));
        }
        if let Change::ServerAdd { pool, .. }
        | Change::ServerSet { pool, .. }
        | Change::ServerRemove { pool, .. }
        | Change::ServerDrain { pool, .. }
        | Change::ServerUndrain { pool, .. } = change
        {
            let users = users(&self.stored.config, pool);
            match users.as_slice() {
                [] => notes.push(format!("no service uses pool {pool} yet")),
                [_] => {}
                users => notes.push(format!("pool {pool} is used by {}", users.join(", "))),
            }
        }
        if let Change::ServerAdd { server, .. } = change
            && self.observed.way(server.address.ip).is_some_and(|way| way.mac.is_none())
        {
            notes.push(format!(
                "{} does not answer yet: it gets no connections until it does",
                server.address.ip
            ));
        }
        notes.extend(self.orders_that_hold(change));
        notes.extend(self.unknown_ends(change));
        notes
    }

    /// What nobody can see of a drain: connections of an untracked service, before one idle timeout has passed. UDP goes
    /// to other servers at once.
    fn unknown_ends(&self, change: &Change) -> Vec<String> {
        let Change::ServerDrain { pool, .. } = change else { return Vec::new() };
        let config = &self.stored.config;
        let untracked = config
            .users_of(pool)
            .filter(|service| service.is_untracked() && service.protocol == Protocol::Tcp);
        let note = |service: &Service| {
            let idle = service.timeouts.milliseconds().established;
            let idle = humantime::format_duration(Duration::from_millis(idle.into()));
            format!(
                "service {} is not tracked: which of its connections remain is known {idle} from now",
                service.name
            )
        };
        untracked.map(note).collect()
    }

    /// Orders that a change of the settings below them does not show.
    fn orders_that_hold(&self, change: &Change) -> Vec<String> {
        let concerns = |name: &ServerName| {
            if let Change::ServerSet { pool, settings, .. } = change {
                !settings.temporary && settings.weight.is_some() && name.pool == *pool
            } else if let Change::ServerAdd { pool, server } = change {
                // It may be left from another machine of this name.
                (&name.pool, &name.server) == (pool, &server.name)
            } else {
                matches!(change, Change::Apply { .. } | Change::Rollback { .. })
            }
        };
        let orders = self.stored.intent.orders.iter().filter(|(name, _)| concerns(name));
        orders
            .map(|(name, order)| {
                let what = match (&order.drain, &order.weight) {
                    (Some(_), _) => "draining".to_owned(),
                    (None, Some(weight)) => format!("at the temporary weight {}", weight.weight),
                    (None, None) => "as configured".to_owned(),
                };
                format!("{name} is {what} until `lb-ctl server undrain {} {}`", name.pool, name.server)
            })
            .collect()
    }
}
