//! Rows of files, good and bad, and that what is written can be read.

mod anything;

use super::*;
use crate::config::model::{
    Announce, Interface, Method, Mode, OnFailure, Pool, Ports, Protocol, Scheduler, Server, ServerAddress,
    Service, Timeouts, Track, Udp, Vip, VipAddress,
};

/// The example of design.md, section 7, as far as this version goes.
const EXAMPLE: &str = r#"
[[interface]]
name = "eth0"
mode = "auto"

[[vip]]
address = "192.0.2.10/32"
announce = "arp"

[[service]]
name = "web"
vip = "192.0.2.10"
port = 80
protocol = "tcp"
scheduler = "wrr"
check = "none"
pools = ["ServerGroup1"]

[[pool]]
name = "ServerGroup1"
server = [ { name = "pc2", address = "10.0.0.12", method = "dr", weight = 3 },
           { name = "pc3", address = "10.1.0.13", method = "ipip" } ]
"#;

#[test]
fn the_example_is_what_it_says() {
    let config = from_toml(EXAMPLE, "lb.toml").unwrap();
    let server = |name: &str, address: &str, method, weight| Server {
        name: name.into(),
        address: address.parse().unwrap(),
        method,
        weight,
    };
    let want = Config {
        interfaces: vec![Interface { name: "eth0".into(), mode: Mode::Auto }],
        vips: vec![Vip { address: "192.0.2.10".parse().unwrap(), announce: Announce::Arp }],
        services: vec![Service {
            name: "web".into(),
            vip: "192.0.2.10".parse().unwrap(),
            port: Ports::One(80),
            protocol: Protocol::Tcp,
            scheduler: Scheduler::Wrr,
            on_failure: OnFailure::Reject,
            track: Track::Auto,
            udp: Udp::Follow,
            timeouts: Timeouts::default(),
            pools: vec!["ServerGroup1".into()],
        }],
        pools: vec![Pool {
            name: "ServerGroup1".into(),
            servers: vec![
                server("pc2", "10.0.0.12", Method::Dr, 3),
                server("pc3", "10.1.0.13", Method::Ipip, 1),
            ],
        }],
        ..Config::default()
    };
    assert_eq!(config, want);
}

#[test]
fn every_spelling_of_ports_is_read() {
    for (port, want) in
        [("80", "80"), ("[80, 443]", "80,443"), ("\"30000-30100\"", "30000-30100"), ("\"any\"", "any")]
    {
        let config = from_toml(&EXAMPLE.replace("port = 80", &format!("port = {port}")), "lb.toml").unwrap();
        assert_eq!(config.services[0].port.to_string(), want);
    }
}

#[test]
fn what_may_be_left_out_is_put_in() {
    let text = "[[service]]\nname = \"web\"\nvip = \"192.0.2.10\"\nport = 80\nprotocol = \"tcp\"\n\
                [[pool]]\nname = \"web\"\nserver = [ { address = \"10.0.0.12:80\" } ]\n";
    let config = from_toml(text, "lb.toml").unwrap();
    assert_eq!(config.services[0].pools, ["web"]);
    assert_eq!(config.pools[0].servers[0].name, "10.0.0.12:80");
    assert_eq!(config.pools[0].servers[0].method, Method::Dr);
}

#[test]
fn a_host_name_is_resolved_once_and_stays_the_name() {
    let text = "[[pool]]\nname = \"web\"\nserver = [ { address = \"www.example:80\" }, { name = \"b\", address = \"six.example:81\" } ]\n";
    let resolve = |name: &str| match name {
        "www.example" => Ok("10.0.0.9".parse().unwrap()),
        "six.example" => Ok("2001:db8::9".parse().unwrap()),
        other => Err(format!("cannot resolve {other}")),
    };
    let config = from_toml_with(text, "lb.toml", &resolve).unwrap();
    let seen: Vec<_> =
        config.pools[0].servers.iter().map(|server| format!("{} {}", server.name, server.address)).collect();
    assert_eq!(seen, ["www.example:80 10.0.0.9:80", "b [2001:db8::9]:81"]);
    let error = from_toml_with(&text.replace("six", "seven"), "lb.toml", &resolve).unwrap_err();
    assert_eq!(error.to_string(), "lb.toml:3: pool[0].server[1].address: cannot resolve seven.example");
}

#[test]
fn a_vip_is_a_unicast_address_that_clients_can_reach() {
    let rows = [
        ("fe80::1", "lb.toml: service web: fe80::1 cannot be used: it is a link-local"),
        ("224.0.0.1", "lb.toml:12: service[0].vip: 224.0.0.1 cannot be used: it is a multicast"),
        ("0.0.0.0", "lb.toml:12: service[0].vip: 0.0.0.0 cannot be used: it is unspecified"),
        ("::1", "lb.toml:12: service[0].vip: ::1 cannot be used: it is a loopback"),
    ];
    for (vip, want) in rows {
        let text = EXAMPLE.replacen("192.0.2.10\"\n", &format!("{vip}\"\n"), 1);
        let error = from_toml(&text, "lb.toml").unwrap_err();
        assert!(error.to_string().starts_with(want), "{vip}: {error}");
    }
}

#[test]
fn a_wrong_file_is_refused_with_its_line() {
    let rows = [
        ("port = 80", "port = 0", "lb.toml:13: service[0].port: 0 is not a port"),
        ("port = 80", "port = 70000", "lb.toml:13: service[0].port: 70000 is not a port"),
        ("port = 80", "port = [80, 80]", "lb.toml:13: service[0].port: port 80 is in the list twice"),
        ("port = 80", "port = \"1-2000\"", "lb.toml:13: service[0].port: 2000 ports, at most 1024"),
        ("port = 80\n", "\n", "lb.toml:10: service[0]: missing field `port`"),
        ("weight = 3", "weight = 70000", "lb.toml:21: pool[0].server[0].weight: 70000 is above 65535"),
        ("weight = 3", "weight = -1", "lb.toml:21: pool[0].server[0].weight: -1 is below 0"),
        ("weight = 3", "weight = \"3\"", "lb.toml:21: pool[0].server[0].weight: invalid type"),
        ("192.0.2.10/32", "192.0.2.0/24", "lb.toml:7: vip[0].address: `192.0.2.0/24`: a VIP is one address"),
        ("192.0.2.10\"\n", "192.0.2\"\n", "lb.toml:12: service[0].vip: `192.0.2` is not an IP address"),
        ("10.0.0.12", "10.0.0.12:0", "lb.toml:21: pool[0].server[0].address: 0 is not a port"),
        (
            "10.0.0.12",
            "224.0.0.1",
            "lb.toml:21: pool[0].server[0].address: 224.0.0.1 cannot be used: it is a multicast",
        ),
        ("10.0.0.12", "pc2", "lb.toml:21: pool[0].server[0].address: `pc2` is not an IP address"),
        ("\"wrr\"", "\"wrrr\"", "lb.toml:15: service[0].scheduler: unknown variant `wrrr`"),
        (
            "scheduler",
            "schedular",
            "lb.toml:15: service[0].schedular: unknown key (did you mean `scheduler`?)",
        ),
        ("[[pool]]", "[[pools]]", "lb.toml:19: pools: unknown key (did you mean `pool`?)"),
        ("weight", "wieght", "lb.toml:21: pool[0].server[0].wieght: unknown key (did you mean `weight`?)"),
        ("mode", "colour", "lb.toml:4: interface[0].colour: unknown key (known here: name, mode)"),
        (
            "check = \"none\"",
            "check = \"tcp\"",
            "lb.toml:16: service[0].check: this version of lb-ctl does not have it",
        ),
        (
            "check = \"none\"",
            "affinity = \"off\"",
            "lb.toml:16: service[0].affinity: this version of lb-ctl does not have it",
        ),
        (
            "announce = \"arp\"",
            "echo = \"drop\"",
            "lb.toml:8: vip[0].echo: this version of lb-ctl does not have it",
        ),
        (
            "[\"ServerGroup1\"]",
            "[\"ServerGroup2\"]",
            "lb.toml: service web: there is no pool ServerGroup2 (did you mean ServerGroup1?)",
        ),
        ("\"pc3\"", "\"pc2\"", "lb.toml: pool ServerGroup1: server pc2 is there twice"),
        ("name = \"web\"", "name = web", "lb.toml:11: "),
        ("[[service]]", "[[service", "lb.toml:10: "),
    ];
    for (from, to, want) in rows {
        assert!(EXAMPLE.contains(from), "{from}");
        let error = from_toml(&EXAMPLE.replacen(from, to, 1), "lb.toml").unwrap_err();
        let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let told = format!("{error}{hint}");
        assert!(told.starts_with(want), "{to}: {told}");
    }
}

#[test]
fn a_tunnel_source_is_a_prefix_or_one_for_each_family() {
    let rows = [
        ("\"10.9.8.0/24\"", Ok("10.9.8.0/24")),
        ("[\"10.9.8.0/24\", \"2001:db8:9::/64\"]", Ok("10.9.8.0/24 2001:db8:9::/64")),
        ("[]", Ok("")),
        (
            "\"10.9.8.1/24\"",
            Err(
                "lb.toml:1: tunnel-source: `10.9.8.1/24` has bits set behind its length: the prefix is 10.9.8.0/24",
            ),
        ),
        (
            "[\"10.9.8.0/24\", \"10.9.9.0/24\"]",
            Err("lb.toml: tunnel-source: more than one prefix of a family"),
        ),
        (
            "[\"10.9.8.0/24\", \"10.9.8.0/24\"]",
            Err("lb.toml: tunnel-source: more than one prefix of a family"),
        ),
    ];
    for (text, want) in rows {
        let read = from_toml(&format!("tunnel-source = {text}\n{EXAMPLE}"), "lb.toml");
        let told = read.map(|config| {
            config.tunnel_sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        });
        assert_eq!(told.map_err(|error| error.to_string()), want.map(str::to_owned).map_err(str::to_owned));
    }
    let error = from_toml("tunnel-source = 7\n", "lb.toml").unwrap_err().to_string();
    assert!(error.contains("a prefix or a list of prefixes"), "{error}");
}
