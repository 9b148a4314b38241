//! A change of the configuration: judged, then stored, then written to the kernel; or refused, and nothing is changed.

use super::converge::failure;
use super::observe::{kept_neighbours, server_addresses};
use super::own_address;
use super::plan::Plan;
use super::preflight;
use super::state::{Desired, Observed};
use super::writer::Writer;
use crate::api::{Change, Changed, Failure};
use crate::config::diff::{Difference, Kind};
use crate::config::model::{Config, Intent, Interface, Service};
use crate::config::{change, diff};
use crate::store::Stored;

impl Writer {
    /// Makes `change`.
    pub(super) async fn change(&mut self, change: &Change) -> Result<Changed, Failure> {
        let (config, intent) = change::apply(&self.stored.config, &self.stored.intent, change)?;
        let observed = self.look(&server_addresses(&config)).await?;
        let desired = Desired { config, intent };
        let plan = match self.judge(&desired, &observed) {
            Ok(plan) => plan,
            Err(refused) => {
                self.release(kept_neighbours(&observed).difference(&self.kept)).await;
                return Err(refused);
            }
        };
        let switched = self.switch_interfaces(&desired.config)?;
        let stored = Stored {
            config: desired.config.clone(),
            intent: desired.intent.clone(),
            placed: self.stored.placed.clone(),
        };
        if let Err(error) = self.store.save(&stored) {
            self.switch_back(switched);
            let refused = Failure::failed(error.to_string());
            return Err(match error.hint() {
                Some(hint) => refused.with_hint(hint),
                None => refused,
            });
        }
        let before = std::mem::replace(&mut self.stored, stored);
        self.observe_as(observed).await;
        let written = self.write(&desired, plan);
        self.place_vips(false).await;
        if written.is_ok() {
            self.follow_modes();
        }
        if let Err(failure) = written {
            self.problem = Some(failure.clone());
            return Err(Failure {
                message: format!("stored, but not in force: {}", failure.message),
                ..failure
            }
            .with_hint("the agent tries again every second; `lb-ctl status` says how it stands"));
        }
        Ok(self.changed(change, &before))
    }

    /// What has to be written, if it can work on this host and there is room for it.
    fn judge(&mut self, desired: &Desired, observed: &Observed) -> Result<Plan, Failure> {
        preflight::check(&self.stored.config, &desired.config, observed)?;
        own_address::check(&self.own_addresses(&desired.config, observed), own_address::listens)?;
        self.plan(desired, observed)
    }

    /// The services that are new here, on an address that the host had before and not from this agent.
    fn own_addresses<'c>(&self, new: &'c Config, observed: &Observed) -> Vec<&'c Service> {
        let known = |service: &Service| {
            let same = |old: &Service| old.endpoint() == service.endpoint();
            self.stored.config.services.iter().any(same)
        };
        let own = |service: &Service| {
            observed.addresses.iter().any(|local| local.address == service.vip)
                && !self.stored.placed.contains_key(&service.vip)
        };
        new.services.iter().filter(|service| own(service) && !known(service)).collect()
    }

    fn changed(&self, change: &Change, before: &Stored) -> Changed {
        let mut differences = diff::diff(&before.config, &self.stored.config);
        differences.extend(drains(&before.intent, &self.stored.intent));
        let interface =
            if let Change::Attach(interface) = change { self.interface_status(interface).ok() } else { None };
        tracing::info!(differences = differences.len(), "changed");
        Changed { differences, notes: self.notes(change), interface }
    }

    /// What the operator should know beside the change itself.
    fn notes(&self, change: &Change) -> Vec<String> {
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
        notes
    }

    /// Attaches and detaches what differs. When one fails, those before it are undone.
    fn switch_interfaces(&mut self, new: &Config) -> Result<Vec<Undo>, Failure> {
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
                Ok(()) | Err(crate::datapath::DatapathError::NotAttached { .. }) => {
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

    fn switch_back(&mut self, done: Vec<Undo>) {
        for undo in done.into_iter().rev() {
            let undone = match &undo {
                Undo::Attach(interface) => self.datapath.attach(&interface.name, interface.mode).map(drop),
                Undo::Detach(name) => self.datapath.detach(name),
            };
            if let Err(error) = undone {
                tracing::error!(%error, ?undo, "could not take back a change of an interface");
            }
        }
    }
}

/// How a change of an interface is taken back.
#[derive(Debug)]
enum Undo {
    Attach(Interface),
    Detach(String),
}

/// Drains that began or ended.
fn drains(before: &Intent, after: &Intent) -> Vec<Difference> {
    let difference = |(pool, server): &(String, String), detail: &str| Difference {
        change: Kind::Changed,
        object: "server".to_owned(),
        name: format!("{pool}/{server}"),
        detail: detail.to_owned(),
    };
    let began = after
        .drained
        .difference(&before.drained)
        .map(|server| difference(server, "draining: no new connections"));
    let ended =
        before.drained.difference(&after.drained).map(|server| difference(server, "not draining any more"));
    began.chain(ended).collect()
}

/// The services that use a pool.
pub(super) fn users(config: &Config, pool: &str) -> Vec<String> {
    let uses = |service: &&Service| service.pools.iter().any(|name| name == pool);
    config.services.iter().filter(uses).map(|service| service.name.clone()).collect()
}
