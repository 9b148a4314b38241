//! From what the operator wants and what the network looks like to the tables that the kernel should hold.
//!
//! Pure: no clock, no I/O, no kernel ids.

use super::state::{Desired, Observed, Way};
use super::tables::{Device, Server, Service, Tables};
use crate::config::model::{self, Prefix};
use crate::neighbour::LinkKind;
use lb_common::address::Address;
use lb_common::flow::{TCP, UDP};
use lb_common::maps::{SETTING_ANY_PORT, SETTING_NAT};
use lb_common::scheduler::Scheduler;
use lb_common::server::{Method, ServerState};
use lb_common::service::{FLAG_SILENT, ServiceKey, Timeouts};
use std::collections::{BTreeMap, BTreeSet};
use zerocopy::network_endian::U16;

/// Resets and ICMP errors per second and CPU.
const ANSWERS_PER_SECOND: u32 = 1_000;

/// The hash of a flow has no more bits.
const MAX_SOURCE_BITS: u8 = 32;

/// The tables for `desired` on a host that looks like `observed`.
pub fn compile(desired: &Desired, observed: &Observed) -> Tables {
    let services: Vec<Service> =
        desired.config.services.iter().map(|s| service(s, desired, observed)).collect();
    Tables {
        flags: flags(&services),
        sample_period: 0,
        answers_per_second: ANSWERS_PER_SECOND,
        devices: devices(desired, observed, &services),
        services,
    }
}

fn flags(services: &[Service]) -> u32 {
    let any_port = services.iter().any(|service| service.keys.iter().any(|key| key.port.get() == 0));
    let nat =
        services.iter().any(|service| service.servers.iter().any(|server| server.method == Method::Nat));
    (if any_port { SETTING_ANY_PORT } else { 0 }) | (if nat { SETTING_NAT } else { 0 })
}

/// The interfaces with the program, because nat's answers leave by the one that the client came in by, and those of servers.
fn devices(desired: &Desired, observed: &Observed, services: &[Service]) -> BTreeMap<u32, Device> {
    let attached =
        desired.config.interfaces.iter().filter_map(|interface| Some(observed.link(&interface.name)?.0));
    let attached: BTreeSet<u32> = attached.chain(observed.renamed.keys().copied()).collect();
    // The program of a bond runs on its members, and frames come in by those.
    let members = observed.links.iter().filter(|(_, link)| {
        let is_bond = |index: &u32| observed.links.get(index).is_some_and(|link| link.kind == LinkKind::Bond);
        link.master.is_some_and(|master| attached.contains(&master) && is_bond(&master))
    });
    let attached = attached.iter().copied().chain(members.map(|(index, _)| *index));
    let used =
        services.iter().flat_map(|service| &service.servers).filter_map(|server| Some(server.next_hop?.0));
    attached.chain(used).filter_map(|index| Some((index, device(index, observed)?))).collect()
}

fn device(ifindex: u32, observed: &Observed) -> Option<Device> {
    let link = observed.links.get(&ifindex)?;
    Some(Device { mac: link.mac?, mtu: link.mtu })
}

fn service(service: &model::Service, desired: &Desired, observed: &Observed) -> Service {
    let address = Address::from(service.vip);
    let protocol = protocol(service.protocol);
    let key = |port| ServiceKey::new(address, U16::new(port), protocol);
    let ports: BTreeSet<u16> =
        if service.port == model::Ports::Any { [0].into() } else { service.port.iter().collect() };
    Service {
        name: service.name.clone(),
        keys: ports.into_iter().map(key).collect(),
        address,
        port: service.port.single().unwrap_or(0),
        protocol,
        scheduler: scheduler(service.scheduler),
        flags: if service.on_failure == model::OnFailure::Drop { FLAG_SILENT } else { 0 },
        timeouts: Timeouts::default(),
        servers: servers(service, desired, observed),
    }
}

/// A server that two pools of the service name is taken once, as the first one has it. Those that leave come last.
fn servers(service: &model::Service, desired: &Desired, observed: &Observed) -> Vec<Server> {
    let members = desired.config.members_of(service);
    let members = members.map(|(pool, each)| server(pool, each, desired, observed));
    let leaving = desired.intent.leaving(&service.name).map(|leaving| Server {
        weight: 0,
        state: ServerState::NoNew,
        ..server(&leaving.pool, &leaving.server, desired, observed)
    });
    let mut seen = BTreeSet::new();
    members
        .chain(leaving)
        .filter(|server| seen.insert((server.address, server.port, server.method)))
        .collect()
}

fn server(pool: &str, server: &model::Server, desired: &Desired, observed: &Observed) -> Server {
    // A dr server that left the segment gets nothing: the router would send its packets back here.
    let on_link = |way: &&Way| server.method != model::Method::Dr || way.gateway.is_none();
    let way = observed.way(server.address.ip).filter(on_link);
    let drained = desired.intent.is_drained(pool, &server.name);
    let weight = desired.intent.weight(pool, server);
    let (address, port, method) = identity(server);
    let (source, source_bits) = source(method, way, desired.config.tunnel_source(server.address.ip));
    Server {
        pool: pool.to_owned(),
        name: server.name.clone(),
        address,
        port,
        method,
        weight: u32::from(weight),
        state: if drained || weight == 0 { ServerState::NoNew } else { ServerState::Up },
        next_hop: way.filter(|way| device(way.ifindex, observed).is_some()).and_then(next_hop),
        mtu: way.filter(|_| !observed.generic).map_or(0, |way| way.mtu),
        source,
        source_bits,
    }
}

/// What makes it the server of its connections. Only nat has a port of its own.
pub(super) fn identity(server: &model::Server) -> (Address, u16, Method) {
    let method = method(server.method);
    let port = if method == Method::Nat { server.address.port.unwrap_or(0) } else { 0 };
    (server.address.ip.into(), port, method)
}

fn next_hop(way: &Way) -> Option<(u32, crate::neighbour::Mac)> {
    Some((way.ifindex, way.mac?))
}

/// The outer source of a tunnel, and how many of its low bits differ from flow to flow.
fn source(method: Method, way: Option<&Way>, prefix: Option<Prefix>) -> (Address, u8) {
    match prefix {
        _ if method != Method::Ipip => (Address::UNSPECIFIED, 0),
        Some(prefix) => (prefix.first().into(), prefix.host_bits().min(MAX_SOURCE_BITS)),
        None => (way.and_then(|way| way.source).map_or(Address::UNSPECIFIED, Address::from), 0),
    }
}

/// The IP protocol number.
pub const fn protocol(protocol: model::Protocol) -> u8 {
    match protocol {
        model::Protocol::Tcp => TCP,
        model::Protocol::Udp => UDP,
    }
}

const fn scheduler(scheduler: model::Scheduler) -> Scheduler {
    match scheduler {
        model::Scheduler::Rr => Scheduler::Rr,
        model::Scheduler::Wrr => Scheduler::Wrr,
        model::Scheduler::Sh => Scheduler::Sh,
        model::Scheduler::Mh => Scheduler::Mh,
    }
}

/// The forwarding method, as the tables name it.
pub const fn method(method: model::Method) -> Method {
    match method {
        model::Method::Dr => Method::Dr,
        model::Method::Nat => Method::Nat,
        model::Method::Ipip => Method::Ipip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::intent::{Leaving, Mark, Order, ServerName, TemporaryWeight};
    use crate::neighbour::Link;
    use std::net::IpAddr;

    const CONFIG: &str = r#"
        interface = [{ name = "eth0" }]
        service = [
            { name = "web", vip = "192.0.2.10", port = 80, protocol = "tcp", pools = ["a", "b"] },
            { name = "voice", vip = "192.0.2.11", port = "5060-5062", protocol = "udp", on-failure = "drop", pools = [] },
        ]
        [[pool]]
        name = "a"
        server = [
            { name = "direct", address = "10.0.0.1", weight = 3 },
            { name = "translated", address = "10.0.0.2:8080", method = "nat" },
            { name = "far", address = "10.0.0.3", method = "ipip", weight = 0 },
            { name = "lost", address = "10.0.0.4" },
        ]
        [[pool]]
        name = "b"
        server = [{ name = "again", address = "10.0.0.1", weight = 7 }, { name = "drained", address = "10.0.0.5" }]
    "#;

    fn world() -> (Desired, Observed) {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let link =
            |name: &str, mac, mtu| Link { name: name.into(), mac, mtu, running: true, ..Link::default() };
        let way = |ifindex, mac: Option<u8>| {
            Ok(Way {
                ifindex,
                gateway: None,
                mac: mac.map(|byte| [byte; 6]),
                fixed: false,
                source: Some(ip("10.0.0.254")),
                mtu: 1400,
            })
        };
        let observed = Observed {
            links: [(2, link("eth0", Some([2; 6]), 1500)), (3, link("eth1", Some([3; 6]), 9000))].into(),
            ways: [
                (ip("10.0.0.1"), way(2, Some(0xa1))),
                (ip("10.0.0.2"), way(2, Some(0xa2))),
                (ip("10.0.0.3"), way(3, Some(0xa3))),
                (ip("10.0.0.4"), Err(crate::neighbour::RouteError::NoRoute(ip("10.0.0.4")))),
                (ip("10.0.0.5"), way(2, None)),
            ]
            .into(),
            ..Observed::default()
        };
        let mut desired = Desired { config: toml::from_str(CONFIG).unwrap(), ..Desired::default() };
        let drain = Order { drain: Some(Mark::default()), weight: None };
        desired.intent.orders.insert(ServerName::new("b", "drained"), drain);
        (desired, observed)
    }

    #[test]
    fn each_server_has_its_state_and_its_way() {
        let (desired, observed) = world();
        let tables = compile(&desired, &observed);
        let rows: Vec<_> = tables.services[0]
            .servers
            .iter()
            .map(|server| {
                (server.name.as_str(), server.port, server.state, server.effective_weight(), server.next_hop)
            })
            .collect();
        let want = [
            ("direct", 0, ServerState::Up, 3, Some((2, [0xa1; 6]))),
            ("translated", 8080, ServerState::Up, 1, Some((2, [0xa2; 6]))),
            ("far", 0, ServerState::NoNew, 0, Some((3, [0xa3; 6]))),
            ("lost", 0, ServerState::Up, 0, None),
            ("drained", 0, ServerState::NoNew, 0, None),
        ];
        assert_eq!(rows, want);
    }

    #[test]
    fn only_a_nat_server_is_another_one_at_another_port() {
        let at = |address: &str, method| {
            let address = address.parse().unwrap();
            identity(&model::Server { name: "pc".into(), address, method, weight: 1 })
        };
        let (one, other) = ("10.0.0.1:8081", "10.0.0.1:8082");
        assert_ne!(at(one, model::Method::Nat), at(other, model::Method::Nat));
        assert_eq!(at(one, model::Method::Dr), at(other, model::Method::Dr));
        assert_ne!(at(one, model::Method::Dr), at(one, model::Method::Ipip));
    }

    #[test]
    fn orders_count_before_settings_and_who_leaves_stays_without_a_share() {
        let (mut desired, observed) = world();
        let weight = Some(TemporaryWeight { weight: 9, mark: Mark::default() });
        desired.intent.orders.insert(ServerName::new("a", "direct"), Order { drain: None, weight });
        let leaving = |name: &str, address: &str| Leaving {
            service: "web".into(),
            pool: "a".into(),
            server: model::Server {
                name: name.into(),
                address: address.parse().unwrap(),
                method: model::Method::Dr,
                weight: 5,
            },
            mark: Mark::default(),
        };
        desired.intent.leaving = vec![leaving("old", "10.0.0.2"), leaving("back", "10.0.0.1")];
        let tables = compile(&desired, &observed);
        let find = |name: &str| tables.services[0].servers.iter().find(|server| server.name == name);
        assert_eq!(find("direct").map(Server::effective_weight), Some(9));
        let old = find("old").unwrap();
        assert_eq!(
            (old.state, old.effective_weight(), old.next_hop.is_some()),
            (ServerState::NoNew, 0, true)
        );
        assert_eq!(find("back"), None, "a member of the same address is the server");
        assert!(tables.services[1].servers.is_empty());
    }

    #[test]
    fn a_server_without_a_way_is_a_member_without_weight_until_it_has_one() {
        let (desired, mut observed) = world();
        let weight = |observed: &Observed| {
            let tables = compile(&desired, observed);
            let servers = &tables.services[0].servers;
            servers.iter().find(|server| server.name == "direct").map(Server::effective_weight)
        };
        assert_eq!(weight(&observed), Some(3));
        let link = observed.links.get_mut(&2).unwrap();
        let mac = link.mac.take();
        assert_eq!(weight(&observed), Some(0), "the device has no MAC address");
        observed.links.get_mut(&2).unwrap().mac = mac;
        let direct = ip_way(&mut observed, "10.0.0.1");
        let mac = direct.mac.take();
        assert_eq!(weight(&observed), Some(0), "the next hop is not known");
        ip_way(&mut observed, "10.0.0.1").mac = mac;
        assert_eq!(weight(&observed), Some(3));
    }

    fn ip_way<'a>(observed: &'a mut Observed, address: &str) -> &'a mut Way {
        observed.ways.get_mut(&address.parse().unwrap()).unwrap().as_mut().unwrap()
    }

    #[test]
    fn sizes_are_not_checked_while_an_interface_is_in_generic_mode() {
        let (desired, mut observed) = world();
        let sizes = |observed: &Observed| {
            let tables = compile(&desired, observed);
            tables.services[0].servers.iter().map(|server| server.mtu).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&observed), [1400, 1400, 1400, 0, 1400]);
        observed.generic = true;
        assert_eq!(sizes(&observed), [0; 5]);
    }

    #[test]
    fn only_a_tunnel_has_a_source() {
        let (desired, observed) = world();
        let tables = compile(&desired, &observed);
        let sources: Vec<_> =
            tables.services[0].servers.iter().filter(|s| s.source != Address::UNSPECIFIED).collect();
        assert_eq!(sources.iter().map(|server| server.name.as_str()).collect::<Vec<_>>(), ["far"]);
        assert_eq!(IpAddr::from(sources[0].source), "10.0.0.254".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn a_tunnel_source_holds_for_the_tunnels_of_its_family() {
        let rows = [
            ("10.9.8.0/24", "10.9.8.0", 8),
            ("10.9.8.7/32", "10.9.8.7", 0),
            ("2001:db8:9::/64", "10.0.0.254", 0),
        ];
        for (prefix, source, bits) in rows {
            let (mut desired, observed) = world();
            desired.config.tunnel_sources = vec![prefix.parse().unwrap()];
            let tables = compile(&desired, &observed);
            let row = |server: &Server| (IpAddr::from(server.source).to_string(), server.source_bits);
            let servers = &tables.services[0].servers;
            let far = servers.iter().find(|server| server.name == "far").map(row);
            assert_eq!(far, Some((source.to_owned(), bits)), "{prefix}");
            let others = servers.iter().filter(|server| server.name != "far");
            assert!(
                others
                    .map(|server| (server.source, server.source_bits))
                    .all(|it| it == (Address::UNSPECIFIED, 0))
            );
        }
        let wide = source(Method::Ipip, None, Some("2001:db8:9::/64".parse().unwrap()));
        assert_eq!(wide, (Address::from("2001:db8:9::".parse::<IpAddr>().unwrap()), 32));
    }

    #[test]
    fn a_range_has_a_key_for_each_port_and_a_view_for_none() {
        let (desired, observed) = world();
        let tables = compile(&desired, &observed);
        let ports =
            |place: usize| tables.services[place].keys.iter().map(|key| key.port.get()).collect::<Vec<_>>();
        assert_eq!((ports(0), tables.services[0].port, tables.services[0].flags), (vec![80], 80, 0));
        assert_eq!(
            (ports(1), tables.services[1].port, tables.services[1].flags),
            (vec![5060, 5061, 5062], 0, FLAG_SILENT)
        );
        assert_eq!(tables.flags, SETTING_NAT);
    }

    #[test]
    fn devices_are_the_attached_interfaces_and_those_of_servers() {
        let (desired, observed) = world();
        let devices = |desired: &Desired| compile(desired, &observed).devices.into_keys().collect::<Vec<_>>();
        assert_eq!(devices(&desired), [2, 3]);
        assert_eq!(
            devices(&Desired {
                config: model::Config { services: Vec::new(), ..desired.config },
                ..Desired::default()
            }),
            [2]
        );
    }

    #[test]
    fn any_port_is_one_key_and_a_feature() {
        let (mut desired, observed) = world();
        desired.config.services[1].port = model::Ports::Any;
        let tables = compile(&desired, &observed);
        assert_eq!(tables.services[1].keys.iter().map(|key| key.port.get()).collect::<Vec<_>>(), [0]);
        assert_eq!(tables.flags, SETTING_NAT | SETTING_ANY_PORT);
    }
}
