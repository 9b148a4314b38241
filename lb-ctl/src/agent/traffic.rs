//! The counters, by name.

use super::converge::failure;
use super::tables::{Server, Service};
use super::writer::Writer;
use crate::api::{Failure, ReasonCount, ServerTraffic, ServiceTraffic, Stats};
use crate::datapath::{self, Counted, Result};
use lb_common::counters::Traffic;

impl Writer {
    /// The counters.
    pub(super) fn stats(&self) -> Result<Stats, Failure> {
        self.read_stats().map_err(|error| failure(&error))
    }

    fn read_stats(&self) -> Result<Stats> {
        let services = self.names.service_ids();
        let servers = self.names.server_references();
        let Counted { reasons, services: of_services, servers: of_servers } = self.datapath.counted()?;
        let counted = reasons.into_iter().filter(|(.., count)| count.packets != 0);
        let (unsent_row, unsent) = self.unsent_counts();
        Ok(Stats {
            time_ms: u64::from(datapath::now_ms()?),
            reasons: counted
                .map(|(reason, answered, count)| ReasonCount::new(reason, answered, count))
                .chain(unsent_row)
                .collect(),
            unsent,
            services: services
                .into_iter()
                .map(|(id, service)| {
                    service_traffic(service, of_services.get(&id).copied().unwrap_or_default())
                })
                .collect(),
            servers: servers
                .into_iter()
                .map(|(reference, service, server)| {
                    let traffic = of_servers.get(&reference.id()).copied().unwrap_or_default();
                    server_traffic((service, server), traffic)
                })
                .collect(),
        })
    }
}

fn service_traffic(service: &Service, traffic: Traffic) -> ServiceTraffic {
    let Traffic { connections, in_packets, in_bytes, out_packets, out_bytes } = traffic;
    let connections = service.counts().then_some(connections);
    ServiceTraffic {
        service: service.name.clone(),
        connections,
        in_packets,
        in_bytes,
        out_packets,
        out_bytes,
    }
}

fn server_traffic((service, server): (&Service, &Server), traffic: Traffic) -> ServerTraffic {
    let Traffic { connections, in_packets, in_bytes, out_packets, out_bytes } = traffic;
    let connections = service.counts_of(server).then_some(connections);
    let (service, pool, server) = (service.name.clone(), server.pool.clone(), server.name.clone());
    ServerTraffic { service, pool, server, connections, in_packets, in_bytes, out_packets, out_bytes }
}
