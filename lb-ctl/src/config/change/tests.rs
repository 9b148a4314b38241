//! Rows of changes: what each makes of a configuration, and what is refused.

use super::*;
use crate::api::FailureKind::{self, Conflict, NotFound, Usage};
use crate::config::diff::diff;
use crate::config::intent::Actor;
use crate::config::model::{
    Announce, Method, Mode, OnFailure, Ports, Protocol, Scheduler, Timeouts, Track, Udp,
};

pub(super) fn config() -> Config {
    let text = r#"
        [[interface]]
        name = "eth0"

        [[service]]
        name = "web"
        vip = "192.0.2.10"
        port = 80
        protocol = "tcp"

        [[service]]
        name = "dns"
        vip = "192.0.2.10"
        port = 53
        protocol = "udp"
        pools = ["dns", "shared"]

        [[pool]]
        name = "web"
        server = [ { name = "pc1", address = "10.0.0.11", weight = 3 }, { address = "10.0.0.12:8080", method = "nat" } ]

        [[pool]]
        name = "dns"

        [[pool]]
        name = "shared"
        server = [ { name = "pc3", address = "10.0.0.13" } ]

        [[pool]]
        name = "spare"
    "#;
    crate::config::parse::from_toml(text, "test").unwrap()
}

fn service(name: &str, endpoint: &str) -> Service {
    let crate::config::model::Endpoint { vip, port, protocol } = endpoint.parse().unwrap();
    let (scheduler, on_failure) = (Scheduler::Wrr, OnFailure::Reject);
    let (track, udp, timeouts) = (Track::Auto, Udp::Follow, Timeouts::default());
    let (name, pools) = (name.to_owned(), vec![name.to_owned()]);
    Service { name, vip, port, protocol, scheduler, on_failure, track, udp, timeouts, pools }
}

pub(super) fn server(name: &str, address: &str, method: Method) -> Server {
    Server { name: name.into(), address: address.parse().unwrap(), method, weight: 1 }
}

fn server_add(pool: &str, name: &str, address: &str, method: Method) -> Change {
    Change::ServerAdd { pool: pool.into(), server: server(name, address, method) }
}

pub(super) fn server_remove(pool: &str, server: &str) -> Change {
    Change::ServerRemove { pool: pool.into(), server: server.into() }
}

fn pool_set(service: &str, pools: &[&str]) -> Change {
    Change::PoolSet { service: service.into(), pools: pools.iter().map(|&pool| pool.into()).collect() }
}

fn lines(change: &Change) -> Vec<String> {
    let (before, intent) = (config(), Intent::default());
    let (after, _) = applied(&before, &intent, change).unwrap();
    let line = |d: crate::config::diff::Difference| {
        format!("{} {} {}: {}", d.change.sign(), d.object, d.name, d.detail)
    };
    diff(&before, &after).into_iter().map(line).collect()
}

pub(super) fn applied(
    config: &Config,
    intent: &Intent,
    change: &Change,
) -> Result<(Config, Intent), ConfigError> {
    apply((config, intent), change, &mark())
}

pub(super) fn mark() -> Mark {
    Mark { by: Actor { uid: Some(7), user: "ann".into() }, since: 9 }
}

fn check(rows: &[(Change, &[&str])]) {
    for (change, want) in rows {
        assert_eq!(&lines(change), want, "{change:?}");
    }
}

#[test]
fn interfaces_and_vips_change_alone() {
    let attach = |name: &str, mode| Change::Attach(Interface { name: name.into(), mode });
    let address = "192.0.2.10".parse().unwrap();
    check(&[
        (attach("eth1", Mode::Native), &["+ interface eth1: mode native"]),
        (attach("eth0", Mode::Auto), &[]),
        (attach("eth0", Mode::Generic), &["~ interface eth0: mode auto -> generic"]),
        (Change::Detach { name: "eth0".into() }, &["- interface eth0: mode auto"]),
        (Change::VipSet { address, announce: Some(Announce::None) }, &["+ vip 192.0.2.10: announce none"]),
        (Change::Apply { config: config(), allow_empty: false }, &[]),
    ]);
}

#[test]
fn a_service_comes_and_goes_with_its_pool() {
    let settings = ServiceSettings {
        port: Some(Ports::One(81)),
        scheduler: Some(Scheduler::Mh),
        ..ServiceSettings::default()
    };
    let add = |name, endpoint| Change::ServiceAdd(service(name, endpoint));
    check(&[
        (
            add("ssh", "[2001:db8::10]:22/tcp"),
            &[
                "+ service ssh: address [2001:db8::10]:22/tcp, scheduler wrr, on-failure reject, pools ssh",
                "+ pool ssh: ",
            ],
        ),
        (
            add("rest", "192.0.2.10:any/tcp"),
            &[
                "+ service rest: address 192.0.2.10:any/tcp, scheduler wrr, on-failure reject, pools rest",
                "+ pool rest: ",
            ],
        ),
        (Change::ServiceAdd(config().services[0].clone()), &[]),
        (
            Change::ServiceSet { name: "web".into(), settings },
            &["~ service web: address 192.0.2.10:80/tcp -> 192.0.2.10:81/tcp, scheduler wrr -> mh"],
        ),
        (
            Change::ServiceRemove { name: "web".into() },
            &[
                "- service web: address 192.0.2.10:80/tcp, scheduler wrr, on-failure reject, pools web",
                "- pool web: ",
                "- server web/pc1: address 10.0.0.11, method dr, weight 3",
                "- server web/10.0.0.12:8080: address 10.0.0.12:8080, method nat, weight 1",
            ],
        ),
    ]);
}

#[test]
fn servers_and_pools_change_alone() {
    let set = |settings| Change::ServerSet { pool: "web".into(), server: "pc1".into(), settings };
    let pc1 = "- server web/pc1: address 10.0.0.11, method dr, weight 3";
    let v6 = "+ server web/v6: address 2001:db8::9, method ipip, weight 1";
    let same_port = "+ server web/same-port: address 10.0.0.14:80, method dr, weight 1";
    check(&[
        (server_add("web", "v6", "2001:db8::9", Method::Ipip), &[v6]),
        (server_add("web", "same-port", "10.0.0.14:80", Method::Dr), &[same_port]),
        (server_add("shared", "pc3", "10.0.0.13", Method::Dr), &[]),
        (server_remove("web", "pc1"), &[pc1]),
        (server_remove("web", "10.0.0.11"), &[pc1]),
        (
            set(ServerSettings { weight: Some(5), ..ServerSettings::default() }),
            &["~ server web/pc1: weight 3 -> 5"],
        ),
        (
            set(ServerSettings { method: Some(Method::Nat), ..ServerSettings::default() }),
            &["~ server web/pc1: method dr -> nat"],
        ),
        (Change::PoolAdd { name: "new".into() }, &["+ pool new: "]),
        (Change::PoolAdd { name: "web".into() }, &[]),
        (pool_set("web", &["web", "shared"]), &["~ service web: pools web -> web shared"]),
        (Change::PoolRemove { name: "spare".into() }, &["- pool spare: "]),
    ]);
}

fn check_refused(rows: &[(Change, FailureKind, &str)]) {
    for (change, kind, want) in rows {
        let error = applied(&config(), &Intent::default(), change).unwrap_err();
        assert_eq!(error.kind, *kind, "{change:?}: {error}");
        assert!(error.to_string().contains(want), "{change:?}: {error}");
    }
}

#[test]
fn a_service_that_cannot_be_is_refused() {
    let with = |change: fn(&mut Service)| {
        let mut service = service("x", "192.0.2.20:80/tcp");
        change(&mut service);
        Change::ServiceAdd(service)
    };
    let add = |name, endpoint| Change::ServiceAdd(service(name, endpoint));
    let any = ServiceSettings { port: Some(Ports::Any), ..ServiceSettings::default() };
    check_refused(&[
        (add("web", "192.0.2.10:81/tcp"), Conflict, "exists already"),
        (add("again", "192.0.2.10:80/tcp"), Conflict, "web and again both take port 80/tcp"),
        (add("range", "192.0.2.10:70-90/tcp"), Conflict, "both take port 80/tcp"),
        (add("list", "192.0.2.10:53,443/udp"), Conflict, "both take port 53/udp"),
        (with(|service| service.name = String::new()), Usage, "name of a service is empty"),
        (with(|service| service.name = "a b".into()), Usage, "`a b` cannot be"),
        (with(|service| service.name = "x".repeat(65)), Usage, "65 bytes"),
        (with(|service| service.pools = vec!["wbe".into()]), NotFound, "no pool wbe"),
        (with(|service| service.pools = Vec::new()), Usage, "it has no pool"),
        (with(|service| service.pools = vec!["web".into(); 2]), Conflict, "pool web is there twice"),
        (with(v6_of_shared), Usage, "dr cannot take IPv6"),
        (Change::ServiceSet { name: "web".into(), settings: any }, Usage, "cannot stand for the ports any"),
        (Change::ServiceRemove { name: "wbe".into() }, NotFound, "no service wbe"),
    ]);
}

fn v6_of_shared(service: &mut Service) {
    service.vip = "2001:db8::10".parse().unwrap();
    service.pools = vec!["shared".into()];
}

#[test]
fn a_server_that_cannot_be_is_refused() {
    let add = |name, address, method| server_add("web", name, address, method);
    check_refused(&[
        (server_add("nowhere", "a", "10.0.0.1", Method::Dr), NotFound, "no pool nowhere"),
        (add("pc1", "10.0.0.99", Method::Dr), Conflict, "exists already"),
        (add("twin", "10.0.0.11", Method::Nat), Conflict, "the same address"),
        (add("twin", "10.0.0.11:80", Method::Nat), Conflict, "the same address"),
        (add("a", "10.0.0.9:81", Method::Dr), Usage, "a dr server has the port of its service, 80, not 81"),
        (add("a", "10.0.0.9:81", Method::Ipip), Usage, "the port of its service"),
        (add("a", "2001:db8::1", Method::Dr), Usage, "dr cannot take IPv4 from 192.0.2.10 to 2001:db8::1"),
        (add("a", "2001:db8::1", Method::Nat), Usage, "nat cannot take IPv4"),
        (add("a", "192.0.2.10", Method::Nat), Usage, "192.0.2.10 is a VIP"),
        (add("", "10.0.0.9", Method::Dr), Usage, "name of a server is empty"),
        (server_remove("web", "pc9"), NotFound, "no server of pool web named pc9"),
    ]);
}

#[test]
fn what_else_cannot_be_is_refused() {
    let attach = |name: &str| Change::Attach(Interface { name: name.into(), mode: Mode::Auto });
    check_refused(&[
        (Change::Detach { name: "eth1".into() }, NotFound, "no attached interface eth1"),
        (attach("a/b"), Usage, "`a/b`"),
        (attach("sixteen-letters-"), Usage, "sixteen"),
        (pool_set("web", &["nowhere"]), NotFound, "no pool nowhere"),
        (pool_set("web", &[]), Usage, "it has no pool"),
        (Change::PoolRemove { name: "web".into() }, Conflict, "service web uses it"),
        (Change::Apply { config: Config::default(), allow_empty: false }, Conflict, "no services"),
    ]);
}

#[test]
fn a_list_or_range_with_a_server_of_another_port_is_refused() {
    for ports in ["80,443", "80-90", "any"] {
        let mut config = config();
        config.services[0].port = ports.parse().unwrap();
        let error = validate(&config).unwrap_err().to_string();
        assert!(error.contains(&format!("cannot stand for the ports {ports}")), "{error}");
    }
}

#[test]
fn an_empty_configuration_can_be_meant() {
    let change = Change::Apply { config: Config::default(), allow_empty: true };
    let interfaces = config().interfaces;
    let empty = Config { interfaces, ..Config::default() };
    assert_eq!(applied(&config(), &Intent::default(), &change).unwrap().0, empty);
}

#[test]
fn a_file_with_interfaces_is_the_whole_truth_and_one_without_leaves_them() {
    let eth7 = Interface { name: "eth7".into(), mode: Mode::Generic };
    for (named, want) in [(vec![], config().interfaces), (vec![eth7.clone()], vec![eth7])] {
        let file = Config { interfaces: named, ..config() };
        let change = Change::Apply { config: file, allow_empty: false };
        assert_eq!(applied(&config(), &Intent::default(), &change).unwrap().0.interfaces, want);
    }
}

#[test]
fn one_protocol_does_not_block_the_other() {
    let mut dns = service("dns-tcp", "192.0.2.10:53/tcp");
    dns.protocol = Protocol::Tcp;
    assert!(applied(&config(), &Intent::default(), &Change::ServiceAdd(dns)).is_ok());
}

#[test]
fn a_tunnel_source_is_replaced_by_a_file_and_kept_by_every_other_change() {
    let with = |prefixes: &[&str]| Config {
        tunnel_sources: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
        ..config()
    };
    let old = with(&["10.9.8.0/24"]);
    let (kept, _) = applied(&old, &Intent::default(), &server_remove("web", "pc1")).unwrap();
    assert_eq!(kept.tunnel_sources, old.tunnel_sources);
    let new = with(&["2001:db8:9::/64"]);
    let change = Change::Apply { config: new.clone(), allow_empty: false };
    assert_eq!(applied(&old, &Intent::default(), &change).unwrap().0, new);
    let lines = diff(&old, &new);
    let lines: Vec<_> =
        lines.iter().map(|line| format!("{} {} {}", line.change.sign(), line.object, line.name)).collect();
    assert_eq!(lines, ["- tunnel-source 10.9.8.0/24", "+ tunnel-source 2001:db8:9::/64"]);
}
