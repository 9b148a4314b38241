//! Whatever a configuration holds, it is read back as it was written.

use super::*;
use crate::config::flows::Timeout;
use proptest::prelude::*;

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9._-]{0,8}"
}

fn ports() -> impl Strategy<Value = Ports> {
    prop_oneof![
        Just("any".to_owned()),
        (1..=u16::MAX).prop_map(|port| port.to_string()),
        (1..60_000_u16, 0..1_024_u16).prop_map(|(first, more)| format!("{first}-{}", first + more)),
        proptest::collection::btree_set(1..=u16::MAX, 1..9).prop_map(|ports| ports
            .iter()
            .map(u16::to_string)
            .collect::<Vec<_>>()
            .join(",")),
    ]
    .prop_map(|text| text.parse().unwrap())
}

fn server() -> impl Strategy<Value = Server> {
    let address = prop_oneof![any::<[u8; 3]>().prop_map(|[b, c, d]| IpAddr::from([10, b, c, d])), v6(0xdb8)];
    (name(), address, any::<u16>()).prop_map(|(name, ip, weight)| Server {
        name,
        address: ServerAddress { ip, port: None },
        method: Method::Ipip,
        weight,
    })
}

fn v6(second: u16) -> impl Strategy<Value = IpAddr> {
    any::<[u16; 6]>().prop_map(move |[a, b, c, d, e, f]| IpAddr::from([0x2001, second, a, b, c, d, e, f]))
}

/// Configurations that are valid but for what [`validate`] finds, which the test throws out.
fn config() -> impl Strategy<Value = Config> {
    let vip = prop_oneof![any::<u8>().prop_map(|d| IpAddr::from([192, 0, 2, d])), v6(0xdb9)];
    let pool =
        (name(), prop::collection::vec(server(), 0..4)).prop_map(|(name, servers)| Pool { name, servers });
    let service = (name(), vip.clone(), ports(), any::<[bool; 2]>(), 0..4_usize);
    let lists = (proptest::collection::vec(pool, 1..4), proptest::collection::vec(service, 0..4));
    let v4 = any::<[u8; 3]>().prop_map(|[b, c, d]| format!("10.{b}.{c}.{d}/32"));
    let v6 = any::<[u16; 2]>().prop_map(|[a, b]| format!("2001:db8:{a:x}:{b:x}::/64"));
    let sources = (proptest::option::of(v4), proptest::option::of(v6))
        .prop_map(|(v4, v6)| v4.into_iter().chain(v6).map(|text| text.parse().unwrap()).collect());
    let others = (prop::collection::btree_map(vip, any::<bool>(), 0..3), prop::option::of(name()), sources);
    (lists, others).prop_map(|((pools, services), (vips, interface, tunnel_sources))| Config {
        tunnel_sources,
        interfaces: interface.map(|name| Interface { name, mode: Mode::Native }).into_iter().collect(),
        vips: vips
            .into_iter()
            .map(|(ip, arp)| Vip {
                address: VipAddress(ip),
                announce: if arp { Announce::Arp } else { Announce::None },
            })
            .collect(),
        services: services
            .into_iter()
            .map(|(name, vip, port, [tcp, drop], pool)| Service {
                name,
                vip,
                port,
                protocol: if tcp { Protocol::Tcp } else { Protocol::Udp },
                scheduler: Scheduler::Mh,
                on_failure: if drop { OnFailure::Drop } else { OnFailure::Reject },
                track: if drop { Track::Always } else { Track::Auto },
                udp: if tcp { Udp::Follow } else { Udp::Stable },
                timeouts: Timeouts {
                    udp: drop.then_some(Timeout::parse("90s").unwrap()),
                    ..Timeouts::default()
                },
                pools: vec![pools[pool % pools.len()].name.clone()],
            })
            .collect(),
        pools,
        ..Config::default()
    })
}

proptest! {
    #[test]
    fn what_is_exported_is_read_back(config in config()) {
        prop_assume!(validate(&config).is_ok());
        let text = to_toml(&config).unwrap();
        prop_assert_eq!(&from_toml(&text, "export").unwrap(), &config, "{}", text);
        let json = serde_json::to_string(&config).unwrap();
        prop_assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
    }

    #[test]
    fn no_text_makes_it_panic(cut in 0..EXAMPLE.len(), noise in "\\PC{0,6}") {
        if let Err(error) = from_toml(&format!("{}{noise}{}", &EXAMPLE[..cut], &EXAMPLE[cut..]), "lb.toml") {
            prop_assert!(error.to_string().starts_with("lb.toml"), "{error}");
        }
    }
}
