//! Which way the replies take: past the director by `dr` and `ipip`, through it by `nat`.

use anyhow::{Context, Result};
use lb_tests::lab::site::{DEVICE, FAMILIES, Family, Site};
use lb_tests::lab::{Host, http};

use crate::rows;
use crate::support::{
    Balanced,
    Method::{self, Dr, Ipip, Nat},
    PORT, socket,
};

const PAGE: u64 = 1_000_000;
/// A frame holds 1,460 bytes of it at most.
const PACKETS: u64 = PAGE / 1460;

/// What the director saw while a page was fetched.
#[derive(Debug, Clone, Copy)]
struct Crossed {
    /// Bytes that came in at its devices, as these count them: the client's acknowledgements, too.
    received: u64,
    /// Packets that the program left to the stack, where a reply that it does not know goes.
    not_a_service: u64,
    /// Packets of the server that it translated back.
    translated: u64,
}

rows! { each_reply_takes_the_way_of_its_method:
    replies_of_dr_bypass_the_director => Site::one_segment("way-dr", 1)?, &[Dr];
    replies_of_dr_bypass_it_on_the_way_to_a_router => Site::routed("way-drr", 1, 0)?, &[Dr];
    replies_of_dr_bypass_it_by_another_interface => Site::two_arms_and_direct_replies("way-dr2", 1)?, &[Dr];
    replies_of_ipip_bypass_the_director => Site::routed("way-ipip", 1, 1)?, &[Ipip, Ipip];
    replies_of_nat_cross_the_director => Site::two_arms("way-nat", 1)?, &[Nat];
    replies_of_mixed_methods_take_each_their_own => Site::routed("way-mix", 2, 1)?, &[Dr, Nat, Ipip];
}

fn each_reply_takes_the_way_of_its_method(site: Site, methods: &[Method]) -> Result<()> {
    for (family, server, crossed) in fetch_from_each(site, methods)? {
        let Crossed { received, not_a_service, translated } = crossed;
        let number = server.trim_start_matches("web").parse::<usize>()?;
        let reply_crossed = methods[number - 1] == Nat;
        let told = format!("{family:?} from {server}: {crossed:?}");
        assert!(not_a_service < PACKETS / 10, "{told}");
        assert!(if reply_crossed { received > PAGE } else { received < PAGE / 10 }, "{told}");
        assert!(if reply_crossed { translated >= PACKETS } else { translated == 0 }, "{told}");
    }
    Ok(())
}

/// The counters that the other rows trust do move when a reply comes where it does not belong.
#[test]
fn a_reply_of_dr_that_is_led_through_the_director_is_noticed() -> Result<()> {
    let site = Site::routed("way-wrong", 1, 0)?;
    site.director.forward_packets()?;
    for device in ["all", DEVICE] {
        // The source of the reply is the VIP, an address of the director itself.
        site.director.sysctl(&format!("net/ipv4/conf/{device}/accept_local"), "1")?;
    }
    for family in FAMILIES {
        site.servers[0].host.serve_nat(site.director_address(family))?;
    }
    for (family, _, crossed) in fetch_from_each(site, &[Dr])? {
        let Crossed { received, not_a_service, translated } = crossed;
        assert!(received > PAGE, "{family:?}: {crossed:?}");
        assert!(not_a_service >= PACKETS, "{family:?}: {crossed:?}");
        assert_eq!(translated, 0, "{family:?}");
    }
    Ok(())
}

/// One page from each server in both families, one after the other.
fn fetch_from_each(site: Site, methods: &[Method]) -> Result<Vec<(Family, String, Crossed)>> {
    let balanced = Balanced::new(site, methods)?;
    balanced.web.iter().try_for_each(|web| web.add_file("page", PAGE))?;
    let mut seen = Vec::new();
    for family in FAMILIES {
        let service = format!("web-{family:?}").to_lowercase();
        balanced.add_service(&service, family, "rr")?;
        for index in 0..methods.len() {
            balanced.add_server(&service, index, family, 1)?;
        }
        for _ in methods {
            let (server, crossed) = fetch(&balanced, family)?;
            seen.push((family, server, crossed));
        }
    }
    let mut servers: Vec<_> = seen.iter().map(|(_, server, _)| server.as_str()).collect();
    servers.sort_unstable();
    servers.dedup();
    assert_eq!(servers.len(), methods.len(), "not every server was asked: {servers:?}");
    Ok(seen)
}

fn fetch(balanced: &Balanced, family: Family) -> Result<(String, Crossed)> {
    let (client, director): (&Host, &Host) = (&balanced.site.client, &balanced.site.director);
    let servers = &balanced.site.servers;
    let translated = || -> Result<u64> {
        servers.iter().map(|server| balanced.counter(server.name(), "out_packets")).sum()
    };
    let before = (director.traffic()?, balanced.packets_of("not-a-service")?, translated()?);
    let service = socket(balanced.site.vip(family), PORT);
    let reply = http::get(client, service, "/files/page").context("no page")?;
    assert_eq!(reply.body.len() as u64, PAGE);
    let crossed = Crossed {
        received: (director.traffic()? - before.0).received,
        not_a_service: balanced.packets_of("not-a-service")? - before.1,
        translated: translated()? - before.2,
    };
    Ok((reply.server, crossed))
}
