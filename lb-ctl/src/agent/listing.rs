//! Services, servers, VIPs and pools, as they are now.

use super::change::users;
use super::identity::Identity;
use super::preflight;
use super::tables;
use super::vips;
use super::writer::Writer;
use crate::api::{
    Failure, FailureKind, PoolInfo, ServerInfo, ServerSituation, ServiceInfo, Tracking, VipInfo,
};
use crate::config::intent::Leaving;
use crate::config::model::{Pool, Server, Service};
use crate::datapath::Load;
use std::collections::BTreeSet;
use std::net::IpAddr;

impl Writer {
    /// Every service with its servers.
    pub(super) fn services(&self) -> Vec<ServiceInfo> {
        self.stored.config.services.iter().map(|service| self.service_info(service)).collect()
    }

    fn service_info(&self, service: &Service) -> ServiceInfo {
        let pools = service
            .pools
            .iter()
            .filter_map(|name| self.stored.config.pools.iter().find(|pool| pool.name == *name));
        let servers = pools.flat_map(|pool| {
            pool.servers.iter().map(move |server| self.server_info(pool, server, Some(&service.name)))
        });
        let leaving = self.stored.intent.leaving(&service.name).map(|leaving| self.leaving_info(leaving));
        ServiceInfo {
            name: service.name.clone(),
            vip: service.vip,
            port: service.port.clone(),
            protocol: service.protocol,
            scheduler: service.scheduler,
            on_failure: service.on_failure,
            tracking: self.tracking(&service.name),
            pools: service.pools.clone(),
            servers: servers.chain(leaving).collect(),
        }
    }

    /// How the flows of a service find their server.
    fn tracking(&self, service: &str) -> Tracking {
        let compiled = self.names.tables().services.iter().find(|compiled| compiled.name == service);
        if compiled.is_none_or(tables::Service::counts) { Tracking::Tracked } else { Tracking::Slots }
    }

    /// The servers of one pool, or of all; connections are those of all services together.
    pub(super) fn servers(&self, pool: Option<&str>) -> Result<Vec<ServerInfo>, Failure> {
        let pools = &self.stored.config.pools;
        if let Some(name) = pool
            && pools.iter().all(|pool| pool.name != name)
        {
            let message = format!("there is no pool {name}");
            return Err(
                Failure::new(FailureKind::NotFound, message).with_hint("`lb-ctl pool list` names them")
            );
        }
        let wanted = pools.iter().filter(|each| pool.is_none_or(|name| each.name == name));
        let leaving =
            self.stored.intent.leaving.iter().filter(|leaving| pool.is_none_or(|name| leaving.pool == name));
        Ok(wanted
            .flat_map(|pool| pool.servers.iter().map(|server| self.server_info(pool, server, None)))
            .chain(leaving.map(|leaving| self.leaving_info(leaving)))
            .collect())
    }

    fn server_info(&self, pool: &Pool, server: &Server, service: Option<&str>) -> ServerInfo {
        let load = self.load(server, service);
        let weight = self.stored.intent.weight(&pool.name, server);
        let (state, problem) = self.situation(pool, server, self.is_used(pool));
        ServerInfo {
            pool: pool.name.clone(),
            name: server.name.clone(),
            address: server.address,
            method: server.method,
            weight,
            state,
            active: load.map(|load| load.active),
            inactive: load.map(|load| load.inactive),
            problem,
            order: self.stored.intent.order(&pool.name, &server.name).cloned(),
            leaving: None,
        }
    }

    fn leaving_info(&self, Leaving { service, pool, server, mark }: &Leaving) -> ServerInfo {
        let load = self.load(server, Some(service));
        ServerInfo {
            pool: pool.clone(),
            name: server.name.clone(),
            address: server.address,
            method: server.method,
            weight: 0,
            state: ServerSituation::Leaving,
            active: load.map(|load| load.active),
            inactive: load.map(|load| load.inactive),
            problem: None,
            order: None,
            leaving: Some(mark.clone()),
        }
    }

    /// Whether a service uses the pool.
    pub(super) fn is_used(&self, pool: &Pool) -> bool {
        self.stored.config.services.iter().any(|service| service.pools.contains(&pool.name))
    }

    /// What a server may be given, and why it cannot be forwarded to when it cannot.
    pub(super) fn situation(
        &self,
        pool: &Pool,
        server: &Server,
        is_used: bool,
    ) -> (ServerSituation, Option<String>) {
        let problem = self.problem_of(pool, server);
        let intent = &self.stored.intent;
        let state = match () {
            () if !is_used => ServerSituation::Unused,
            () if intent.is_drained(&pool.name, &server.name) => ServerSituation::Draining,
            () if intent.weight(&pool.name, server) == 0 => ServerSituation::NoNew,
            () if problem.is_some() => ServerSituation::Unreachable,
            () => ServerSituation::Up,
        };
        (state, problem)
    }

    fn problem_of(&self, pool: &Pool, server: &Server) -> Option<String> {
        if let Err(failure) = preflight::check_server(&self.stored.config, pool, server, &self.observed) {
            return Some(failure.message);
        }
        let way = self.observed.way(server.address.ip)?;
        let hop = way.gateway.unwrap_or(server.address.ip);
        way.mac
            .is_none()
            .then(|| format!("{hop} does not answer on {}", self.observed.link_name(way.ifindex)))
    }

    /// Connections of a server in one service, or in all; `None` if they are not counted everywhere. A server of two
    /// pools of a service is one in the kernel.
    fn load(&self, server: &Server, service: Option<&str>) -> Option<Load> {
        let identity = Identity::from(server);
        let references = self.names.server_references().into_iter().filter(|(_, owner, listed)| {
            service.is_none_or(|name| owner.name == name) && Identity::from(*listed) == identity
        });
        let loads = references.map(|(reference, owner, listed)| {
            let load = self.sweeper.report.servers.get(&reference).copied().unwrap_or_default();
            owner.counts_of(listed).then_some(load)
        });
        loads.reduce(|sum, load| Some(sum? + load?)).unwrap_or_else(|| Some(Load::default()))
    }

    /// Every VIP that is configured or used.
    pub(super) fn vips(&self) -> Vec<VipInfo> {
        let config = &self.stored.config;
        let used = config.services.iter().map(|service| service.vip);
        let all: BTreeSet<IpAddr> = used.chain(config.vips.iter().map(|vip| vip.address.0)).collect();
        let services = |address| {
            config
                .services
                .iter()
                .filter(move |service| service.vip == address)
                .map(|s| s.name.clone())
                .collect()
        };
        all.into_iter()
            .map(|address| VipInfo {
                address,
                announce: vips::announced(config, address),
                services: services(address),
                interface: self.stored.placed.get(&address).cloned(),
            })
            .collect()
    }

    /// Every pool.
    pub(super) fn pools(&self) -> Vec<PoolInfo> {
        let info = |pool: &Pool| PoolInfo {
            name: pool.name.clone(),
            servers: pool.servers.iter().map(|server| server.name.clone()).collect(),
            services: users(&self.stored.config, &pool.name),
        };
        self.stored.config.pools.iter().map(info).collect()
    }
}
