//! A change, applied to a configuration: pure, whole or not at all.
//!
//! What is so already is no change; what is there otherwise is a conflict, never overwritten by an `add`.

mod orders;
mod words;

pub(super) use words::no_pool;

use super::ConfigError;
use super::intent::{Intent, Mark, ServerName};
use super::model::{Config, Interface, Pool, Server, Service, Vip, VipAddress};
use super::nearest::nearest;
use super::validate::validate;
use crate::api::{Change, ServerSettings, ServiceSettings};
use words::{already, changes_server, changes_service, no_service, unknown, unresolved};

/// The configuration and intent after `change`, which `mark` says who makes and when.
///
/// Orders of servers that `apply` or a rollback takes away are kept: the server may come back. Who leaves its service is not
/// judged here, see [`super::intent::leaving`].
///
/// # Errors
/// It names what does not exist, collides with what does, or leads to a configuration that cannot be.
pub fn apply(
    (config, intent): (&Config, &Intent),
    change: &Change,
    mark: &Mark,
) -> Result<(Config, Intent), ConfigError> {
    let mut next = Draft { config: config.clone(), intent: intent.clone(), mark };
    next.change(change)?;
    validate(&next.config)?;
    Ok((next.config, next.intent))
}

/// What `current` becomes when `file` is applied. A file without interfaces says nothing about them,
/// nor one without limits about those.
pub fn replacement(current: &Config, file: &Config) -> Config {
    let mut next = file.clone();
    if next.interfaces.is_empty() {
        next.interfaces.clone_from(&current.interfaces);
    }
    if next.limits.is_usual() {
        next.limits = current.limits;
    }
    next
}

struct Draft<'m> {
    config: Config,
    intent: Intent,
    mark: &'m Mark,
}

impl Draft<'_> {
    fn change(&mut self, change: &Change) -> Result<(), ConfigError> {
        match change {
            Change::Attach(interface) => self.attach(interface),
            Change::Detach { name } => self.detach(name)?,
            Change::ServiceAdd(service) => self.service_add(service)?,
            Change::ServiceSet { name, settings } => self.service_set(name, settings)?,
            Change::ServiceRemove { name } => self.service_remove(name)?,
            Change::ServerAdd { pool, server } => self.server_add(pool, server)?,
            Change::ServerSet { pool, server, settings } => self.server_set(pool, server, *settings)?,
            Change::ServerRemove { pool, server } => self.server_remove(pool, server)?,
            Change::ServerDrain { pool, server } => self.drain(pool, server)?,
            Change::ServerUndrain { pool, server } => self.undrain(pool, server)?,
            Change::PoolAdd { name } => self.pool_add(name),
            Change::PoolSet { service, pools } => self.service(service)?.pools.clone_from(pools),
            Change::PoolRemove { name } => self.pool_remove(name)?,
            Change::VipSet { address, announce } => {
                let vip = self.vip(VipAddress(*address));
                vip.announce = announce.unwrap_or(vip.announce);
            }
            Change::LimitsSet(limits) => self.config.limits = self.config.limits.overlaid(limits),
            Change::Apply { config, allow_empty } => self.replace(config, *allow_empty)?,
            Change::Rollback { number } => return Err(unresolved(*number)),
        }
        Ok(())
    }

    fn attach(&mut self, interface: &Interface) {
        match self.config.interfaces.iter_mut().find(|known| known.name == interface.name) {
            Some(known) => known.mode = interface.mode,
            None => self.config.interfaces.push(interface.clone()),
        }
    }

    fn detach(&mut self, name: &str) -> Result<(), ConfigError> {
        let names = self.config.interfaces.iter().map(|interface| interface.name.as_str());
        if !names.clone().any(|known| known == name) {
            return Err(unknown("attached interface", name, nearest(name, names)));
        }
        self.config.interfaces.retain(|interface| interface.name != name);
        Ok(())
    }

    fn service_add(&mut self, service: &Service) -> Result<(), ConfigError> {
        if let Some(known) = self.config.service(&service.name) {
            let hint = changes_service(known, service);
            return already(
                ("service", &service.name),
                known == service,
                &known.endpoint().to_string(),
                hint,
            );
        }
        if self.config.pool(&service.name).is_none() && service.pools.contains(&service.name) {
            self.pool_add(&service.name);
        }
        self.config.services.push(service.clone());
        Ok(())
    }

    fn service_set(&mut self, name: &str, settings: &ServiceSettings) -> Result<(), ConfigError> {
        let service = self.service(name)?;
        if let Some(port) = &settings.port {
            service.port = port.clone();
        }
        service.scheduler = settings.scheduler.unwrap_or(service.scheduler);
        service.on_failure = settings.on_failure.unwrap_or(service.on_failure);
        service.track = settings.track.unwrap_or(service.track);
        service.udp = settings.udp.unwrap_or(service.udp);
        Ok(())
    }

    fn service_remove(&mut self, name: &str) -> Result<(), ConfigError> {
        self.service(name)?;
        self.config.services.retain(|service| service.name != name);
        if self.config.users_of(name).next().is_none() {
            self.forget_pool(name);
        }
        Ok(())
    }

    fn forget_pool(&mut self, name: &str) {
        self.config.pools.retain(|pool| pool.name != name);
        self.intent.orders.retain(|server, _| server.pool != name);
    }

    fn server_add(&mut self, pool: &str, server: &Server) -> Result<(), ConfigError> {
        let pool = self.pool(pool)?;
        if let Some(known) = pool.servers.iter().find(|known| known.name == server.name) {
            let is = format!("{} {} weight {}", known.address, known.method, known.weight);
            let hint = changes_server(&pool.name, known, server);
            return already(("server", &server.name), known == server, &is, hint);
        }
        pool.servers.push(server.clone());
        Ok(())
    }

    fn server_set(&mut self, pool: &str, server: &str, settings: ServerSettings) -> Result<(), ConfigError> {
        if settings.temporary {
            return self.set_temporary_weight(pool, server, settings);
        }
        let server = self.server(pool, server)?;
        server.weight = settings.weight.unwrap_or(server.weight);
        server.method = settings.method.unwrap_or(server.method);
        Ok(())
    }

    /// One that only leaves is let go at once.
    fn server_remove(&mut self, pool: &str, server: &str) -> Result<(), ConfigError> {
        let before = self.intent.leaving.len();
        self.intent.leaving.retain(|leaving| !(leaving.pool == pool && leaving.server.name == server));
        let is_leaving = self.intent.leaving.len() < before;
        let name = match self.server(pool, server) {
            Ok(server) => server.name.clone(),
            Err(_) if is_leaving => return Ok(()),
            Err(missing) => return Err(missing),
        };
        self.intent.orders.remove(&ServerName::new(pool, &name));
        self.pool(pool)?.servers.retain(|server| server.name != name);
        Ok(())
    }

    fn pool_add(&mut self, name: &str) {
        if self.config.pool(name).is_none() {
            self.config.pools.push(Pool { name: name.to_owned(), servers: Vec::new() });
        }
    }

    fn pool_remove(&mut self, name: &str) -> Result<(), ConfigError> {
        self.pool(name)?;
        if let Some(service) = self.config.users_of(name).next() {
            let message = format!("cannot remove pool {name}: service {} uses it", service.name);
            let hint = format!("`lb-ctl pool set {} OTHER` takes another", service.name);
            return Err(ConfigError::conflict(message).hint(hint));
        }
        self.forget_pool(name);
        Ok(())
    }

    fn replace(&mut self, config: &Config, allow_empty: bool) -> Result<(), ConfigError> {
        if config.services.is_empty() && !allow_empty {
            let message = "the new configuration has no services";
            return Err(ConfigError::conflict(message).hint("`--allow-empty` if that is meant"));
        }
        self.config = replacement(&self.config, config);
        Ok(())
    }

    fn service(&mut self, name: &str) -> Result<&mut Service, ConfigError> {
        let missing = no_service(&self.config, name);
        self.config.services.iter_mut().find(|service| service.name == name).ok_or(missing)
    }

    fn pool(&mut self, name: &str) -> Result<&mut Pool, ConfigError> {
        let missing = no_pool(&self.config, name);
        self.config.pools.iter_mut().find(|pool| pool.name == name).ok_or(missing)
    }

    /// The server of this name, or the one server with this address.
    fn server(&mut self, pool: &str, name: &str) -> Result<&mut Server, ConfigError> {
        let servers = &mut self.pool(pool)?.servers;
        let near = nearest(name, servers.iter().map(|server| server.name.as_str()));
        let missing = unknown(&format!("server of pool {pool} named"), name, near);
        let index = find_server(servers, name).ok_or_else(|| missing.clone())?;
        servers.get_mut(index).ok_or(missing)
    }

    fn vip(&mut self, address: VipAddress) -> &mut Vip {
        let vips = &mut self.config.vips;
        let index = vips.iter().position(|vip| vip.address == address).unwrap_or(vips.len());
        if index == vips.len() {
            vips.push(Vip { address, announce: super::model::Announce::default() });
        }
        #[expect(clippy::indexing_slicing, reason = "found or pushed just above")]
        &mut vips[index]
    }
}

fn find_server(servers: &[Server], name: &str) -> Option<usize> {
    let by_name = servers.iter().position(|server| server.name == name);
    by_name.or_else(|| {
        let mut same = servers.iter().enumerate().filter(|(_, server)| server.address.to_string() == name);
        same.next().filter(|_| same.next().is_none()).map(|(index, _)| index)
    })
}

#[cfg(test)]
mod tests;
