//! What a director does beside forwarding: refusing, staying out of the way, attaching and detaching.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lb_tests::lab::http;
use lb_tests::lab::site::{DEVICE, FAMILIES, Family, INNER_DEVICE, Site};

use crate::rows;
use crate::support::{Balanced, Method::Dr, socket};

const PING: [&str; 6] = ["ping", "-n", "-c", "1", "-W", "2"];

#[test]
fn what_is_not_a_service_is_the_directors_own() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("own", 1)?, &[Dr])?;
    let (site, own_port) = (&balanced.site, 9000);
    let _own = http::Server::start(&site.director, own_port)?;
    for family in FAMILIES {
        let name = format!("web-{family:?}").to_lowercase();
        balanced.add_service(&name, family, "rr")?;
        balanced.add_server(&name, 0, family, 1)?;
        for address in [site.director_address(family), site.vip(family)] {
            let reply = http::get(&site.client, socket(address, own_port), "/")?;
            assert_eq!(reply.server, "director", "{address}");
            site.client.run(&[&PING[..], &[&address.to_string()]].concat())?;
        }
        assert_eq!(balanced.curl(family)?, "web1");
    }
    Ok(())
}

rows! { without_a_server_the_client_is_told_or_not:
    a_service_without_servers_resets => Family::V4, "reject", true;
    a_service_without_servers_resets_v6 => Family::V6, "reject", true;
    a_service_without_servers_may_drop => Family::V4, "drop", false;
    a_service_without_servers_may_drop_v6 => Family::V6, "drop", false;
}

/// Over TCP and UDP: a refusal comes at once, a drop never.
fn without_a_server_the_client_is_told_or_not(family: Family, on_failure: &str, told: bool) -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("empty", 0)?, &[])?;
    let vip = balanced.site.vip(family);
    for protocol in ["tcp", "udp"] {
        let service = socket(vip, 53);
        balanced.lb(&format!("service add {protocol} {service}/{protocol} --on-failure {on_failure}"))?;
        let at = format!("@{vip}");
        let mut dig = vec!["dig", &at, "example.test", "+timeout=2", "+tries=1"];
        dig.extend((protocol == "tcp").then_some("+tcp"));
        let began = Instant::now();
        let output = balanced.site.client.output(&dig)?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(!output.status.success(), "{protocol}: somebody answered: {text}");
        assert_eq!(text.contains("connection refused"), told, "{protocol}: {text}");
        assert_eq!(began.elapsed() < Duration::from_secs(1), told, "{protocol} took {:?}", began.elapsed());
    }
    Ok(())
}

rows! { a_packet_of_two_hops_arrives_and_one_of_one_hop_is_answered:
    the_client_is_told_that_the_ttl_ended => Family::V4;
    the_client_is_told_that_the_hop_limit_ended => Family::V6;
}

/// The director takes one hop. A connection that time-exceeded ends fails at once, with the words of "no route".
fn a_packet_of_two_hops_arrives_and_one_of_one_hop_is_answered(family: Family) -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("hops", 1)?, &[Dr])?;
    balanced.serve(family, "rr", &[1])?;
    let (client, vip) = (&balanced.site.client, balanced.site.vip(family));
    let option = if vip.is_ipv6() { "-6" } else { "-4" };
    let set_hops =
        |hops| client.ip(&format!("{option} route replace {vip} dev {DEVICE} metric 1 hoplimit {hops}"));
    set_hops(2)?;
    assert_eq!(balanced.curl(family)?, "web1");
    assert_eq!(balanced.packets_of("ttl-expired")?, 0);
    set_hops(1)?;
    let began = Instant::now();
    let error = balanced.curl(family).map_err(|error| error.to_string());
    assert!(error.as_ref().is_err_and(|error| error.contains("curl: (7)")), "{error:?}");
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "it took {:?}: the client was not told",
        began.elapsed()
    );
    assert!(balanced.packets_of("ttl-expired")? > 0);
    Ok(())
}

#[test]
fn generic_mode_serves_as_well_and_says_so() -> Result<()> {
    let site = Site::one_segment("generic", 2)?;
    site.director.lb(&format!("attach {DEVICE} --mode generic"))?;
    let balanced = Balanced::attached(site, &[Dr, Dr])?;
    let status = balanced.lb_json("status")?;
    assert_eq!(status.pointer("/interfaces/0/attached").and_then(|mode| mode.as_str()), Some("generic"));
    assert!(balanced.site.director.ip(&format!("link show dev {DEVICE}"))?.contains("xdpgeneric"));
    balanced.serve(Family::V4, "rr", &[1, 1])?;
    assert_eq!(balanced.shares(Family::V4, 10)?.into_values().collect::<Vec<_>>(), [5, 5]);
    Ok(())
}

#[test]
fn detach_ends_forwarding_and_attach_begins_it_again() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("detach", 1)?, &[Dr])?;
    balanced.serve(Family::V4, "rr", &[1])?;
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    balanced.lb(&format!("detach {DEVICE} --yes"))?;
    assert!(
        !balanced.site.director.ip(&format!("link show dev {DEVICE}"))?.contains("xdp"),
        "still attached"
    );
    assert!(balanced.curl(Family::V4).is_err(), "it still forwards");
    balanced.lb(&format!("attach {DEVICE}"))?;
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    Ok(())
}

#[test]
fn both_arms_are_attached_and_shown() -> Result<()> {
    let balanced = Balanced::new(Site::two_arms("both", 0)?, &[])?;
    let status = balanced.lb_json("status")?;
    for (index, device) in [DEVICE, INNER_DEVICE].into_iter().enumerate() {
        let text =
            |key: &str| status.pointer(&format!("/interfaces/{index}/{key}")).and_then(|text| text.as_str());
        assert_eq!((text("name"), text("attached")), (Some(device), Some("native")));
    }
    Ok(())
}

#[test]
fn an_idle_agent_stays_under_30_megabytes() -> Result<()> {
    const KILOBYTES: u64 = 30_000;
    let balanced = Balanced::new(Site::one_segment("idle", 2)?, &[Dr, Dr])?;
    balanced.serve(Family::V4, "mh", &[1, 1])?;
    let pid = balanced.agent()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
    assert!(resident.is_some_and(|resident: u64| resident < KILOBYTES), "{resident:?} kB");
    Ok(())
}
