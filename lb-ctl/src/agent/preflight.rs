//! What of a change cannot work on this host. Pure; only what is new is judged, so that an old fault does not block a repair.

use super::exits;
use super::state::{Observed, Way};
use crate::api::Failure;
use crate::config::model::{Config, Method, Pool, Prefix, Server};
use crate::neighbour::RouteError;
use std::net::IpAddr;

/// Judges what `new` has and `old` has not.
///
/// # Errors
///
/// The first thing that cannot work, with a hint.
pub(super) fn check(old: &Config, new: &Config, observed: &Observed) -> Result<(), Failure> {
    for interface in new.interfaces.iter().filter(|interface| !old.interfaces.contains(interface)) {
        exits::check_attach(&interface.name, observed)?;
    }
    for prefix in new.tunnel_sources.iter().filter(|prefix| !old.tunnel_sources.contains(prefix)) {
        check_tunnel_source(*prefix, observed)?;
    }
    for pool in &new.pools {
        for server in pool.servers.iter().filter(|server| !was_there(old, pool, server)) {
            check_server(new, pool, server, observed)?;
        }
    }
    Ok(())
}

/// The servers, as POOL/SERVER, that worked with `old` and would not with `new`, though nothing changes about them.
pub(super) fn made_unreachable(old: &Config, new: &Config, observed: &Observed) -> Vec<String> {
    if old.interfaces.is_empty() {
        // Nothing is forwarded yet: the first attach takes nothing away.
        return Vec::new();
    }
    let worked =
        |config: &Config, pool: &Pool, server: &Server| check_server(config, pool, server, observed).is_ok();
    let members = new.pools.iter().flat_map(|pool| pool.servers.iter().map(move |server| (pool, server)));
    members
        .filter(|(pool, server)| was_there(old, pool, server))
        .filter(|(pool, server)| worked(old, pool, server) && !worked(new, pool, server))
        .map(|(pool, server)| format!("{}/{}", pool.name, server.name))
        .collect()
}

fn was_there(old: &Config, pool: &Pool, server: &Server) -> bool {
    let same = |other: &&Server| other.address == server.address && other.method == server.method;
    old.pools
        .iter()
        .filter(|other| other.name == pool.name)
        .flat_map(|other| &other.servers)
        .any(|other| same(&other))
}

/// The problem of a prefix of tunnel sources, if it has one: ICMP errors to a source must end at the director.
pub(super) fn check_tunnel_source(prefix: Prefix, observed: &Observed) -> Result<(), Failure> {
    if matches!(observed.ways.get(&prefix.first()), Some(Err(RouteError::Local(_)))) {
        return Ok(());
    }
    Err(Failure::failed(format!("cannot use tunnel-source {prefix}: {} is not local here", prefix.first()))
        .with_hint(format!(
            "`ip route add local {prefix} dev lo` makes it so; routers must lead it to the director"
        )))
}

/// The problem of one server on this host, if it has one.
pub(super) fn check_server(
    config: &Config,
    pool: &Pool,
    server: &Server,
    observed: &Observed,
) -> Result<(), Failure> {
    let address = server.address.ip;
    let refuse = |reason: String| {
        Failure::failed(format!("cannot use {}/{} at {address}: {reason}", pool.name, server.name))
    };
    let way = match observed.ways.get(&address) {
        Some(Ok(way)) => way,
        Some(Err(error)) => return Err(refuse(error.to_string()).with_hint(route_hint(error, address))),
        None => return Err(refuse("the way to it was not looked up".to_owned())),
    };
    let device = observed.link_name(way.ifindex);
    let Some(link) = observed.links.get(&way.ifindex).filter(|link| link.mac.is_some()) else {
        return Err(refuse(format!("it is reached by {device}, which is not an Ethernet interface")));
    };
    if let Some((reason, hint)) = exits::problem(config, way.ifindex, observed) {
        return Err(refuse(reason).with_hint(hint));
    }
    match server.method {
        Method::Dr => check_dr(way).map_err(refuse).map_err(|failure| failure.with_hint(DR_HINT)),
        Method::Nat if observed.renamed.contains_key(&way.ifindex) => Ok(()),
        Method::Nat => check_nat(config, &link.name).map_err(|(reason, hint)| refuse(reason).with_hint(hint)),
        Method::Ipip if way.source.is_none() && config.tunnel_source(address).is_none() => {
            Err(refuse(format!("{device} has no address of its family as source of the tunnel")))
        }
        Method::Ipip => Ok(()),
    }
}

const DR_HINT: &str = "`--method ipip` or `--method nat` reach servers behind a router";

fn check_dr(way: &Way) -> Result<(), String> {
    way.gateway.map_or(Ok(()), |gateway| {
        Err(format!("it is not on-link but behind {gateway}, and dr reaches only the same segment"))
    })
}

/// Answers of nat servers must come in by an interface with the program. Before the first attach nothing can be said.
fn check_nat(config: &Config, device: &str) -> Result<(), (String, String)> {
    let attached = config.interfaces.iter().any(|interface| interface.name == device);
    if attached || config.interfaces.is_empty() {
        return Ok(());
    }
    let reason = format!("its replies would enter by {device}, an interface without the program");
    Err((reason, format!("run `lb-ctl attach {device}` first")))
}

fn route_hint(error: &RouteError, address: IpAddr) -> String {
    match error {
        RouteError::Local(_) => {
            "a server is another machine; the director itself cannot be one yet".to_owned()
        }
        RouteError::NotUnicast(_) => "a server has a unicast address".to_owned(),
        RouteError::NoRoute(_) | RouteError::Failed(..) => format!("`ip route get {address}` must answer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{Interface, Mode};
    use crate::neighbour::Link;

    fn host() -> Observed {
        let link =
            |name: &str, mac| Link { name: name.into(), mac, mtu: 1500, running: true, ..Link::default() };
        let way = |ifindex, gateway: Option<&str>, source: Option<&str>| {
            let ip = |text: &str| text.parse().unwrap();
            Ok(Way {
                ifindex,
                gateway: gateway.map(ip),
                mac: None,
                fixed: false,
                source: source.map(ip),
                mtu: 1500,
            })
        };
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        Observed {
            links: [(2, link("eth0", Some([2; 6]))), (3, link("eth1", Some([3; 6]))), (4, link("wg0", None))]
                .into(),
            ways: [
                (at("10.0.0.12"), way(2, None, Some("10.0.0.1"))),
                (at("10.1.0.13"), way(2, Some("10.0.0.254"), Some("10.0.0.1"))),
                (at("10.2.0.14"), way(3, None, Some("10.2.0.1"))),
                (at("10.3.0.15"), way(4, None, Some("10.3.0.1"))),
                (at("10.4.0.16"), way(2, None, None)),
                (at("10.0.0.1"), Err(RouteError::Local(at("10.0.0.1")))),
                (at("10.9.0.1"), Err(RouteError::NoRoute(at("10.9.0.1")))),
            ]
            .into(),
            ..Observed::default()
        }
    }

    fn config(interfaces: &[&str], address: &str, method: Method) -> Config {
        let server = Server { name: "pc".into(), address: address.parse().unwrap(), method, weight: 1 };
        let interface = |name: &&str| Interface { name: (*name).into(), mode: Mode::Auto };
        Config {
            interfaces: interfaces.iter().map(interface).collect(),
            pools: vec![Pool { name: "web".into(), servers: vec![server] }],
            ..Config::default()
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_reason() {
        let rows: [(&[&str], &str, Method, Option<&str>); 12] = [
            (&["eth0"], "10.0.0.12", Method::Dr, None),
            (&["eth0"], "10.1.0.13", Method::Dr, Some("behind 10.0.0.254")),
            (&["eth0"], "10.1.0.13", Method::Ipip, None),
            (&["eth0"], "10.1.0.13", Method::Nat, None),
            (&["eth0"], "10.2.0.14", Method::Dr, None),
            (&["eth0"], "10.2.0.14", Method::Nat, Some("replies would enter by eth1")),
            (&["eth0", "eth1"], "10.2.0.14", Method::Nat, None),
            (&[], "10.2.0.14", Method::Nat, None),
            (&["eth0"], "10.3.0.15", Method::Ipip, Some("wg0, which is not an Ethernet interface")),
            (&["eth0"], "10.4.0.16", Method::Ipip, Some("no address of its family")),
            (&["eth0"], "10.0.0.1", Method::Dr, Some("an address of this host")),
            (&["eth0"], "10.9.0.1", Method::Dr, Some("no route")),
        ];
        for (interfaces, address, method, want) in rows {
            let verdict = check(&Config::default(), &config(interfaces, address, method), &host());
            match (verdict, want) {
                (Ok(()), None) => {}
                (Err(failure), Some(want)) => {
                    assert!(failure.message.contains(want), "{address}: {}", failure.message);
                }
                (verdict, want) => {
                    panic!("{interfaces:?} {address} {method:?}: {verdict:?} instead of {want:?}")
                }
            }
        }
    }

    #[test]
    fn a_tunnel_source_must_be_local() {
        let rows = [
            ("10.0.0.1/32", None),
            ("10.9.0.1/32", Some("cannot use tunnel-source 10.9.0.1/32: 10.9.0.1 is not local here")),
            ("10.0.0.12/32", Some("cannot use tunnel-source 10.0.0.12/32: 10.0.0.12 is not local here")),
        ];
        for (prefix, want) in rows {
            let new = Config { tunnel_sources: vec![prefix.parse().unwrap()], ..Config::default() };
            let verdict = check(&Config::default(), &new, &host());
            assert_eq!(verdict.as_ref().err().map(|failure| failure.message.as_str()), want);
            assert_eq!(check(&new, &new, &host()), Ok(()), "what was there blocks nothing");
            if let Err(failure) = verdict {
                let hint = failure.hint.unwrap_or_default();
                assert!(hint.contains(&format!("`ip route add local {prefix} dev lo`")), "{hint}");
            }
        }
    }

    #[test]
    fn a_tunnel_source_stands_for_the_address_that_the_device_lacks() {
        let lacks = config(&["eth0"], "10.4.0.16", Method::Ipip);
        let has = Config { tunnel_sources: vec!["10.0.0.1/32".parse().unwrap()], ..lacks.clone() };
        assert!(check(&Config::default(), &lacks, &host()).is_err());
        assert_eq!(check(&Config::default(), &has, &host()), Ok(()));
    }

    #[test]
    fn an_old_fault_blocks_no_change() {
        let old = config(&["eth0"], "10.9.0.1", Method::Dr);
        let new = Config { services: Vec::new(), ..old.clone() };
        assert!(check(&old, &new, &host()).is_ok());
    }

    #[test]
    fn servers_whose_replies_lose_their_interface_are_named() {
        let rows: [(&[&str], Method, &[&str]); 4] = [
            (&["eth0", "eth1"], Method::Nat, &[]),
            (&["eth0"], Method::Nat, &["web/pc"]),
            (&["eth0"], Method::Dr, &[]),
            (&[], Method::Nat, &[]),
        ];
        let first = made_unreachable(
            &config(&[], "10.2.0.14", Method::Nat),
            &config(&["eth0"], "10.2.0.14", Method::Nat),
            &host(),
        );
        assert!(first.is_empty(), "the first attach: {first:?}");
        for (left, method, want) in rows {
            let at = |interfaces: &[&str]| config(interfaces, "10.2.0.14", method);
            let named = made_unreachable(&at(&["eth0", "eth1"]), &at(left), &host());
            assert_eq!(named, want, "{left:?} {method:?}");
        }
    }

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let failure =
            check(&Config::default(), &config(&["eth7"], "10.0.0.12", Method::Dr), &host()).unwrap_err();
        assert_eq!(failure.message, "cannot attach to eth7: there is no such interface");
    }
}
