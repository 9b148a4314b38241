//! A site compiled for a host.

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
    let link = |name: &str, mac, mtu| Link { name: name.into(), mac, mtu, running: true, ..Link::default() };
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
    assert_eq!((old.state, old.effective_weight(), old.next_hop.is_some()), (ServerState::NoNew, 0, true));
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
