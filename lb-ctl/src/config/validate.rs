//! Everything that can be judged of a configuration without looking at the machine.

use super::ConfigError;
use super::address::AddressError;
use super::limits::Limited;
use super::model::{Config, Method, Pool, Prefix, Server, Service, VipAddress};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Longest name of a service, pool or server, in bytes.
pub const MAX_NAME: usize = 64;
/// Longest name of an interface, in bytes (`IFNAMSIZ` less its zero).
pub const MAX_INTERFACE_NAME: usize = 15;

/// Checks `config`.
///
/// # Errors
/// The first thing that is wrong with it, by name.
pub fn validate(config: &Config) -> Result<(), ConfigError> {
    interfaces(config)?;
    config.limits.validate()?;
    tunnel_sources(config)?;
    config.vips.iter().try_for_each(|entry| vip(entry.address.0).map_err(|error| error.at("vip")))?;
    unique("VIP", config.vips.iter().map(|vip| vip.address.to_string()))?;
    config.services.iter().try_for_each(|service| name("service", &service.name))?;
    unique("service", config.services.iter().map(|service| service.name.clone()))?;
    unique("pool", config.pools.iter().map(|pool| pool.name.clone()))?;
    config.pools.iter().try_for_each(|pool| check_pool(config, pool))?;
    config.services.iter().try_for_each(|service| check_service(config, service))?;
    endpoints(&config.services)?;
    limits(config)
}

fn interfaces(config: &Config) -> Result<(), ConfigError> {
    for interface in &config.interfaces {
        let name = &interface.name;
        let bad = |c: char| c == '/' || c.is_whitespace() || c.is_control();
        if name.is_empty()
            || name.len() > MAX_INTERFACE_NAME
            || name.contains(bad)
            || name == "."
            || name == ".."
        {
            return Err(ConfigError::invalid(format!("`{name}` cannot be the name of an interface")));
        }
    }
    unique("interface", config.interfaces.iter().map(|interface| interface.name.clone()))
}

fn tunnel_sources(config: &Config) -> Result<(), ConfigError> {
    let first = |prefix: &&Prefix| config.tunnel_source(prefix.first()).as_ref() == Some(*prefix);
    let firsts: BTreeSet<_> = config.tunnel_sources.iter().filter(first).collect();
    if firsts.len() == config.tunnel_sources.len() {
        return Ok(());
    }
    Err(ConfigError::invalid("tunnel-source: more than one prefix of a family")
        .hint("one for servers with IPv4 addresses, one for those with IPv6"))
}

fn unique(what: &str, names: impl IntoIterator<Item = String>) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if seen.contains(&name) {
            return Err(ConfigError::conflict(format!("{what} {name} is there twice")));
        }
        seen.insert(name);
    }
    Ok(())
}

fn name(what: &str, name: &str) -> Result<(), ConfigError> {
    let fine = |c: char| c.is_alphanumeric() || "._:-[]".contains(c);
    match () {
        () if name.is_empty() => Err(ConfigError::invalid(format!("the name of a {what} is empty"))),
        () if name.len() > MAX_NAME => Err(ConfigError::invalid(format!(
            "the {what} name {name} has {} bytes, at most {MAX_NAME}",
            name.len()
        ))),
        () if !name.chars().all(fine) || name.starts_with('-') => {
            Err(ConfigError::invalid(format!("`{name}` cannot be the name of a {what}"))
                .hint("letters, digits, and . _ : - [ ] can be in a name, and no - at its start"))
        }
        () => Ok(()),
    }
}

fn check_pool(config: &Config, pool: &Pool) -> Result<(), ConfigError> {
    name("pool", &pool.name)?;
    for server in &pool.servers {
        name("server", &server.name)?;
        if config.services.iter().any(|service| service.vip == server.address.ip) {
            let (ip, server) = (server.address.ip, &server.name);
            return Err(ConfigError::invalid(format!(
                "server {server} of pool {}: {ip} is a VIP",
                pool.name
            )));
        }
    }
    unique(&format!("pool {}: server", pool.name), pool.servers.iter().map(|server| server.name.clone()))
}

fn check_service(config: &Config, service: &Service) -> Result<(), ConfigError> {
    let at = |error: ConfigError| error.at(format!("service {}", service.name));
    vip(service.vip).map_err(at)?;
    if service.pools.is_empty() {
        return Err(at(ConfigError::invalid("it has no pool")));
    }
    unique("pool", service.pools.iter().cloned()).map_err(at)?;
    let mut addresses = BTreeMap::new();
    for name in &service.pools {
        let pool = config.pool(name).ok_or_else(|| at(super::change::no_pool(config, name)))?;
        for server in &pool.servers {
            check_server(service, server).map_err(|error| error.at(place(service, pool, server)))?;
            let port = server.address.port.or(service.port.single());
            if let Some(other) = addresses.insert((server.address.ip, port), &server.name) {
                let message =
                    format!("servers {other} and {} have the same address, {}", server.name, server.address);
                return Err(at(ConfigError::conflict(message)));
            }
        }
    }
    Ok(())
}

fn place(service: &Service, pool: &Pool, server: &Server) -> String {
    if service.name == pool.name {
        format!("service {}, server {}", service.name, server.name)
    } else {
        format!("service {}, pool {}, server {}", service.name, pool.name, server.name)
    }
}

fn check_server(service: &Service, server: &Server) -> Result<(), ConfigError> {
    port_of(service, server)?;
    let same_family = service.vip.is_ipv4() == server.address.ip.is_ipv4();
    if same_family || server.method == Method::Ipip {
        return Ok(());
    }
    let (method, ip, vip) = (server.method, server.address.ip, service.vip);
    let message = format!("{method} cannot take {} from {vip} to {ip}", family(vip));
    Err(ConfigError::invalid(message).hint("`ipip` carries both families over both"))
}

const fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn port_of(service: &Service, server: &Server) -> Result<(), ConfigError> {
    let Some(port) = server.address.port else { return Ok(()) };
    let single = service.port.single();
    if server.method != Method::Nat && single != Some(port) {
        let message = format!(
            "{} server has the port of its service, {}, not {port}",
            article(server.method),
            service.port
        );
        return Err(ConfigError::invalid(message).hint("`nat` can change the port"));
    }
    if single.is_none() {
        let message = format!("its port {port} cannot stand for the ports {} of the service", service.port);
        return Err(ConfigError::invalid(message).hint("leave the port of the server out"));
    }
    Ok(())
}

const fn article(method: Method) -> &'static str {
    match method {
        Method::Dr => "a dr",
        Method::Nat => "a nat",
        Method::Ipip => "an ipip",
    }
}

/// Refuses what can be no VIP wherever it was read: one that several hosts, no host, or each host for itself has.
fn vip(address: IpAddr) -> Result<(), ConfigError> {
    let VipAddress(_) = address.to_string().parse().map_err(|error: AddressError| {
        ConfigError::invalid(error.to_string()).hint("a VIP is a unicast address that clients can reach")
    })?;
    if matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        return Err(ConfigError::invalid(format!("{address} cannot be used: it is a link-local address"))
            .hint("a VIP is a unicast address that clients can reach"));
    }
    Ok(())
}

fn endpoints(services: &[Service]) -> Result<(), ConfigError> {
    let mut by_vip: BTreeMap<_, Vec<&Service>> = BTreeMap::new();
    for service in services {
        let others = by_vip.entry((service.vip, service.protocol)).or_default();
        for other in others.iter() {
            if let Some(port) = service.port.shared_with(&other.port) {
                let port = if port == 0 { "any port".to_owned() } else { format!("port {port}") };
                let message = format!("services {} and {} both take {port}", other.name, service.name);
                let message = format!("{message}/{} of {}", service.protocol, service.vip);
                let hint = "`lb-ctl service list` shows their ports; `lb-ctl service set NAME --port` changes those of one";
                return Err(ConfigError::conflict(message).hint(hint));
            }
        }
        others.push(service);
    }
    Ok(())
}

fn limits(config: &Config) -> Result<(), ConfigError> {
    let keys: usize = config.services.iter().map(|service| service.port.iter().count().max(1)).sum();
    let sizes: BTreeMap<_, _> = config.pools.iter().map(|pool| (&pool.name, pool.servers.len())).collect();
    let pools = config.services.iter().flat_map(|service| &service.pools);
    let servers: usize = pools.map(|pool| sizes.get(pool).copied().unwrap_or(0)).sum();
    let limit = |what| config.limits.of(what);
    let rows = [
        ("services", config.services.len(), limit(Limited::Services), Limited::Services),
        ("ports of services", keys, config.limits.capacities().service_keys, Limited::Services),
        ("servers, each counted once per service,", servers, limit(Limited::Servers), Limited::Servers),
    ];
    for (what, count, limit, raised) in rows {
        if count > usize::try_from(limit).unwrap_or(usize::MAX) {
            let message = format!("{count} {what} are too many: at most {limit}");
            return Err(ConfigError::conflict(message).hint(format!(
                "`lb-ctl limits set --{raised} NUMBER`, or `[limits]` in the file, raises it"
            )));
        }
    }
    Ok(())
}
