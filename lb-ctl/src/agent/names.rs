//! Which id of the kernel's tables belongs to which service and server.

use super::identity::Identity;
use super::tables::{Server, Service, Tables};
use crate::datapath::tables::Kernel;
use lb_common::server::{ServerRef, ServerState};
use std::collections::BTreeMap;

/// The tables as they were last compiled, with the ids that the kernel has for them.
#[derive(Debug, Default)]
pub(super) struct Names {
    tables: Tables,
    services: BTreeMap<u32, usize>,
    servers: BTreeMap<ServerRef, (usize, usize)>,
}

impl Names {
    /// Finds the ids of `tables` in `kernel`, which holds them.
    pub(super) fn new(tables: Tables, kernel: &Kernel) -> Self {
        let id =
            |service: &Service| service.keys.first().and_then(|key| kernel.service_keys.get(key)).copied();
        let services: BTreeMap<u32, usize> = tables
            .services
            .iter()
            .enumerate()
            .filter_map(|(place, service)| Some((id(service)?, place)))
            .collect();
        let mut servers = BTreeMap::new();
        for (id, entry) in kernel
            .servers
            .iter()
            .filter(|(_, entry)| ServerState::from_byte(entry.state) != ServerState::Gone)
        {
            let Some(place) = services.get(&entry.service) else { continue };
            let listed = tables.services.get(*place).map_or(&[][..], |service| &service.servers);
            let same = |server: &Server| Identity::from(server) == Identity::from(entry);
            if let Some(number) = listed.iter().position(same) {
                servers.insert(ServerRef::new(*id, entry.generation), (*place, number));
            }
        }
        Self { tables, services, servers }
    }

    /// The services, in the order of the configuration.
    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The service with this id.
    pub(super) fn service(&self, id: u32) -> Option<&Service> {
        self.tables.services.get(*self.services.get(&id)?)
    }

    /// The server that is meant, unless it is gone.
    pub(super) fn server(&self, reference: ServerRef) -> Option<&Server> {
        let (service, server) = self.servers.get(&reference)?;
        self.tables.services.get(*service)?.servers.get(*server)
    }

    /// Every service with its id, in the order of the configuration.
    pub(super) fn service_ids(&self) -> Vec<(u32, &Service)> {
        let mut all: Vec<(usize, u32)> = self.services.iter().map(|(id, place)| (*place, *id)).collect();
        all.sort_unstable();
        all.into_iter().filter_map(|(place, id)| Some((id, self.tables.services.get(place)?))).collect()
    }

    /// Every server with its service and reference, in the order of the configuration.
    pub(super) fn server_references(&self) -> Vec<(ServerRef, &Service, &Server)> {
        let mut all: Vec<_> = self.servers.iter().map(|(reference, place)| (*place, *reference)).collect();
        all.sort_unstable();
        let find = |((service, server), reference): ((usize, usize), ServerRef)| {
            let service = self.tables.services.get(service)?;
            Some((reference, service, service.servers.get(server)?))
        };
        all.into_iter().filter_map(find).collect()
    }
}
