//! Each forwarding method with real web and DNS servers, alone and mixed, in every way of wiring it.

use anyhow::Result;
use lb_tests::lab::named::{Named, who_answers};
use lb_tests::lab::site::{FAMILIES, Family, Server, Site};

use crate::rows;
use crate::support::{
    Balanced,
    Method::{self, Dr, Ipip, Nat},
    socket,
};

rows! { pages_are_served_in_both_families:
    dr_on_one_segment => Site::one_segment("dr", 2)?, &[Dr, Dr];
    ipip_on_one_segment => Site::one_segment("ipip", 2)?, &[Ipip, Ipip];
    dr_behind_a_router => Site::routed("dr", 2, 0)?, &[Dr, Dr];
    dr_out_of_another_interface => Site::two_arms_and_direct_replies("dr2", 2)?, &[Dr, Dr];
    nat_with_one_arm => Site::routed("nat1", 2, 0)?, &[Nat, Nat];
    nat_with_two_arms => Site::two_arms("nat2", 2)?, &[Nat, Nat];
    nat_behind_a_router => site_with_nat_behind_a_router("nat-far")?, &[Nat, Nat];
    ipip_to_another_network => Site::routed("ipip", 0, 2)?, &[Ipip, Ipip];
    ipip_out_of_another_interface => Site::two_arms_and_direct_replies("ipip2", 2)?, &[Ipip, Ipip];
    all_methods_mixed => Site::routed("mixed", 3, 1)?, &[Dr, Nat, Ipip, Ipip];
}

/// Two turns of equal weights over every server, by curl.
fn pages_are_served_in_both_families(site: Site, methods: &[Method]) -> Result<()> {
    let balanced = Balanced::new(site, methods)?;
    for family in FAMILIES {
        let service = format!("web-{family:?}").to_lowercase();
        balanced.add_service(&service, family, "wrr")?;
        for index in 0..methods.len() {
            balanced.add_server(&service, index, family, 1)?;
        }
        let mut answers: Vec<_> =
            (0..2 * methods.len()).map(|_| balanced.curl(family)).collect::<Result<_>>()?;
        answers.sort_unstable();
        let mut expected: Vec<_> = balanced.site.servers.iter().map(Server::name).collect();
        expected = expected.iter().flat_map(|name| [*name; 2]).collect();
        assert_eq!(answers, expected, "{family:?}");
    }
    Ok(())
}

fn site_with_nat_behind_a_router(name: &str) -> Result<Site> {
    let site = Site::routed(name, 0, 2)?;
    site.route_replies_through_the_director()?;
    Ok(site)
}

rows! { pages_are_served_through_the_other_family:
    ipip_4in6 => Family::V4, Family::V6;
    ipip_6in4 => Family::V6, Family::V4;
}

fn pages_are_served_through_the_other_family(inner: Family, outer: Family) -> Result<()> {
    let balanced = Balanced::new(Site::routed("cross", 1, 1)?, &[Ipip, Ipip])?;
    balanced.add_service("web", inner, "rr")?;
    for index in 0..2 {
        balanced.add_server("web", index, outer, 1)?;
    }
    let shares = balanced.shares(inner, 10)?;
    assert_eq!(shares.into_iter().collect::<Vec<_>>(), [("web1".to_owned(), 5), ("web2".to_owned(), 5)]);
    Ok(())
}

#[test]
fn a_nat_server_may_have_a_port_of_its_own() -> Result<()> {
    let balanced = Balanced::new(Site::routed("natport", 1, 0)?, &[Nat])?;
    for family in FAMILIES {
        let service = socket(balanced.site.vip(family), 8000);
        let server = socket(balanced.site.servers[0].address(family), 80);
        let name = format!("port-{family:?}").to_lowercase();
        balanced.lb(&format!("service add {name} {service}/tcp"))?;
        balanced.lb(&format!("server add {name} {server} --method nat"))?;
        let url = format!("http://{service}/");
        assert_eq!(balanced.site.client.run(&["curl", "-sSf", "-m", "5", &url])?, "web1\n");
    }
    Ok(())
}

rows! { names_are_answered_over_udp_and_tcp:
    dns_by_dr => Site::one_segment("dns-dr", 2)?, &[Dr, Dr];
    dns_by_nat_with_one_arm => Site::routed("dns-nat1", 2, 0)?, &[Nat, Nat];
    dns_by_nat_with_two_arms => Site::two_arms("dns-nat2", 2)?, &[Nat, Nat];
    dns_by_nat_behind_a_router => site_with_nat_behind_a_router("dns-nat")?, &[Nat, Nat];
    dns_by_ipip => Site::routed("dns-ipip", 0, 2)?, &[Ipip, Ipip];
    dns_by_dr_out_of_another_interface => Site::two_arms_and_direct_replies("dns-dr2", 2)?, &[Dr, Dr];
    dns_by_methods_mixed => Site::routed("dns-mix", 1, 1)?, &[Dr, Ipip];
    dns_by_nat_and_ipip => Site::routed("dns-mix2", 1, 1)?, &[Nat, Ipip];
}

fn names_are_answered_over_udp_and_tcp(site: Site, methods: &[Method]) -> Result<()> {
    let balanced = Balanced::new(site, methods)?;
    let servers = &balanced.site.servers;
    let _named: Vec<_> =
        servers.iter().map(|server| Named::start(&server.host, 53)).collect::<Result<_>>()?;
    for family in FAMILIES {
        for (protocol, options) in [("udp", vec![]), ("tcp", vec!["+tcp"])] {
            let name = format!("dns-{protocol}-{family:?}").to_lowercase();
            let vip = balanced.site.vip(family);
            let service = socket(vip, 53);
            balanced.lb(&format!("service add {name} {service}/{protocol} --scheduler rr"))?;
            for index in 0..methods.len() {
                balanced.add_server(&name, index, family, 1)?;
            }
            let ask = || who_answers(&balanced.site.client, &vip.to_string(), 53, &options);
            let mut answers: Vec<_> = (0..4).map(|_| ask()).collect::<Result<_>>()?;
            answers.sort_unstable();
            assert_eq!(answers, ["web1", "web1", "web2", "web2"], "{name}");
        }
    }
    Ok(())
}
