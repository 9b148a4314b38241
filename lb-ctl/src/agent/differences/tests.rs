//! Writes in words.

use super::*;
use crate::neighbour::Link;
use lb_common::address::Address;
use lb_common::index::Indexed;
use lb_common::server::ServerRef;

const DEVICE: u16 = 1;

fn key() -> ServiceKey {
    ServiceKey::new(Address::from_v4([192, 0, 2, 10]), 80.into(), TCP)
}

/// A service with one server that is down, and the link that it is reached by.
fn kernel(server: u32) -> (Kernel, Link) {
    let entry = lb_common::server::Server {
        next_hop: NextHop { mac: [2; 6], device: DEVICE },
        state: ServerState::Down as u8,
        method: 1,
        mtu: 1_500,
        address: Address::from_v4([192, 0, 2, 12]),
        service: 3,
        ..lb_common::server::Server::default()
    };
    let link = Link { name: "eth0".into(), mac: Some([2; 6]), mtu: 1_500, running: true, ..Link::default() };
    let kernel = Kernel {
        service_keys: [(key(), 3)].into(),
        services: [(3, 1)].into(),
        servers: [(server, entry)].into(),
        interfaces: [(DEVICE, Interface { ifindex: 11, mtu: 1_500, mac: [2; 6] })].into(),
        settings: Settings {
            schema: 9,
            flags: SETTING_NAT,
            sample_period: 0,
            answers_per_second: 0,
            ..Settings::default()
        },
        ..Kernel::default()
    };
    (kernel, link)
}

#[test]
fn writes_are_told_by_the_names_of_what_they_change() {
    let (key, server) = (key(), 7);
    let (kernel, link) = kernel(server);
    let entry = kernel.servers[&server];
    let desired = super::super::state::Desired {
        config: toml::from_str(
            "service = [{ name = 'web', vip = '192.0.2.10', port = 80, protocol = 'tcp', pools = ['web'] }]\n\
             pool = [{ name = 'web', server = [{ name = 'pc2', address = '192.0.2.12' }] }]",
        )
        .unwrap(),
        ..super::super::state::Desired::default()
    };
    let tables = super::super::compile::compile(&desired, &Observed::default());
    let names = Names::new(tables.clone(), &kernel);
    let observed = Observed { links: [(11, link)].into(), ..Observed::default() };
    let words = Words::new((&names, &tables), &kernel, &observed);
    let slots = Write::Slots(1, vec![Slot::settled(ServerRef::new(server, 0))]);
    let word = Write::Index(place(&key), Indexed::one(&key, 3));
    let rows: [(&[Write], &[&str]); 12] = [
        (
            &[slots, Write::View(2, View::default()), Write::Service(3, 2)],
            &["~ service web: which server gets which connections"],
        ),
        (&[Write::Service(3, 2)], &["~ service web: its settings"]),
        (&[Write::Service(9, 0)], &["- service number 9: it is not configured"]),
        (&[Write::ServerState(server, ServerState::Up)], &["~ server web/pc2: state down -> up"]),
        (
            &[Write::NextHop(server, NextHop { mac: [4; 6], device: 2 })],
            &["~ server web/pc2: next hop 02:02:02:02:02:02 by eth0 -> 04:04:04:04:04:04 by device 2"],
        ),
        (&[Write::Server(8, entry)], &["+ server web/pc2: written anew"]),
        (&[Write::ServiceKey(key, Some(3))], &["+ key 192.0.2.10:80/tcp: of service web"]),
        (&[Write::ServiceKey(key, Some(3)), word.clone()], &["+ key 192.0.2.10:80/tcp: of service web"]),
        (&[word], &["~ index 192.0.2.10:80/tcp: which service its packets are for"]),
        (&[Write::Index(0, Indexed::NONE)], &["~ index place 0: which service its packets are for"]),
        (
            &[
                Write::Settings(kernel.settings),
                Write::Settings(Settings { flags: 0, schema: 1, ..kernel.settings }),
            ],
            &["~ settings: schema 9 -> 1, features nat -> none"],
        ),
        (&[Write::Interface(DEVICE, Interface::default())], &["- interface eth0: packets left by it"]),
    ];
    for (writes, want) in rows {
        let told: Vec<String> = words.all(writes).iter().map(ToString::to_string).collect();
        assert_eq!(told, want, "{writes:?}");
    }
}
