//! How the agent, its interfaces and its tables are, and what needs a look.

use super::converge::failure;
use super::limits;
use super::preflight;
use super::writer::Writer;
use crate::api::{AgentInfo, AttachedMode, Failure, InterfaceState, InterfaceStatus, Status, Warning};
use crate::config::model::{Interface, Mode};
use crate::datapath::{AttachMode, Attached};

impl Writer {
    /// How everything is.
    pub(super) fn status(&self) -> Result<Status, Failure> {
        let kernel = self.datapath.snapshot().map_err(|error| failure(&error))?;
        let attachments = self.datapath.attachments().map_err(|error| failure(&error))?;
        let servers = || self.names.tables().services.iter().flat_map(|service| &service.servers);
        let up = servers().filter(|server| server.effective_weight() > 0);
        let report = &self.sweeper.report;
        let tables = limits::table_uses(&kernel, report.total, Some(report.half_open));
        let mut warnings = self.warnings(&attachments);
        warnings.extend(self.size_warning(&kernel.capacities));
        warnings.extend(limits::warnings(&tables));
        Ok(Status {
            agent: Some(AgentInfo {
                pid: std::process::id(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                since: self.since,
            }),
            silent_agent: None,
            unsupervised_since: None,
            interfaces: self.interfaces(&attachments),
            revision: Some(self.stored.revision.clone()),
            orders: self.stored.intent.orders.clone(),
            services: count(self.stored.config.services.len()),
            servers: count(servers().count()),
            servers_up: count(up.count()),
            tables,
            slots: Some(self.slot_progress()),
            drift: Some(self.drift.told()),
            warnings,
        })
    }

    /// The configured interfaces, then those that have the program all the same.
    fn interfaces(&self, attachments: &[(String, Attached)]) -> Vec<InterfaceStatus> {
        let configured = &self.stored.config.interfaces;
        let others =
            attachments.iter().filter(|(name, _)| configured.iter().all(|interface| interface.name != *name));
        let others = others.map(|(name, _)| Interface { name: name.clone(), mode: Mode::Auto });
        configured
            .iter()
            .cloned()
            .chain(others)
            .map(|interface| self.describe(&interface, attachments))
            .collect()
    }

    pub(super) fn interface_status(&self, interface: &Interface) -> Result<InterfaceStatus, Failure> {
        let attachments = self.datapath.attachments().map_err(|error| failure(&error))?;
        Ok(self.describe(interface, &attachments))
    }

    fn describe(&self, interface: &Interface, attachments: &[(String, Attached)]) -> InterfaceStatus {
        let ifindex = self.observed.link(&interface.name).map(|(index, _)| index);
        let attached =
            attachments.iter().find(|(name, _)| *name == interface.name).map(|(_, attached)| match attached
                .mode
            {
                AttachMode::Native => AttachedMode::Native,
                AttachMode::Generic => AttachedMode::Generic,
            });
        let state = match (ifindex, attached) {
            (None, _) => InterfaceState::Missing,
            (Some(_), None) => InterfaceState::Detached,
            (Some(_), Some(_)) => InterfaceState::Attached,
        };
        InterfaceStatus { name: interface.name.clone(), ifindex, mode: interface.mode, state, attached }
    }

    fn warnings(&self, attachments: &[(String, Attached)]) -> Vec<Warning> {
        let mut warnings: Vec<Warning> = self.problem.iter().map(warning).collect();
        warnings.extend(self.unattached.values().chain(&self.unplaced).map(warning));
        warnings.extend(self.drift.warning());
        warnings.extend(self.conflicts.warnings());
        for (name, _) in attachments
            .iter()
            .filter(|(name, _)| self.stored.config.interfaces.iter().all(|i| i.name != *name))
        {
            warnings.push(Warning {
                message: format!("{name} has the program, but is not in the configuration"),
                hint: Some(format!("`lb-ctl attach {name}` records it, `lb-ctl detach {name}` takes it off")),
            });
        }
        let configured = self.stored.config.interfaces.iter().map(|interface| &interface.name);
        for name in configured.filter(|name| self.observed.configured(name).is_none()) {
            warnings.push(Warning {
                message: format!("there is no interface {name}: nothing comes in by it"),
                hint: Some(format!(
                    "the program is attached as soon as it is there; `lb-ctl detach {name}` forgets it"
                )),
            });
        }
        for (index, name) in &self.observed.renamed {
            let now = self.observed.link_name(*index);
            warnings.push(Warning {
                message: format!("{name} is called {now} now, and keeps the program under its old name"),
                hint: Some(format!(
                    "`lb-ctl attach {now}`, then `lb-ctl detach {name}`, records the new name"
                )),
            });
        }
        let sources = self.stored.config.tunnel_sources.iter();
        let lost = sources.filter_map(|prefix| preflight::check_tunnel_source(*prefix, &self.observed).err());
        warnings.extend(lost.map(|failure| warning(&failure)));
        warnings.extend(self.unsent_warnings());
        warnings.extend(self.server_warnings());
        warnings.extend(self.file.warning(&self.stored.config));
        warnings
    }

    fn server_warnings(&self) -> Vec<Warning> {
        let config = &self.stored.config;
        let servers =
            || config.pools.iter().flat_map(|pool| pool.servers.iter().map(move |server| (pool, server)));
        let mut warnings: Vec<Warning> = servers()
            .filter_map(|(pool, server)| preflight::check_server(config, pool, server, &self.observed).err())
            .map(|failure| warning(&failure))
            .collect();
        for (pool, server) in servers() {
            if self.observed.way(server.address.ip).is_some_and(|way| way.mac.is_none()) {
                warnings.push(Warning {
                    message: format!(
                        "{}/{} at {}: its next hop does not answer",
                        pool.name, server.name, server.address.ip
                    ),
                    hint: Some("is it up, and on this segment?".to_owned()),
                });
            }
        }
        warnings
    }
}

fn warning(failure: &Failure) -> Warning {
    Warning { message: failure.message.clone(), hint: failure.hint.clone() }
}

pub(super) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
