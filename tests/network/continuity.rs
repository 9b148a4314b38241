//! Connections that stay while the configuration and the agent change around them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::full;
use lb_tests::lab::site::{DEVICE, Family, Site};
use lb_tests::lab::{ChildGuard, Host, Pattern, http, wait_until};

use crate::rows;
use crate::support::{
    Balanced,
    Method::{self, Dr, Ipip, Nat},
    PORT, socket,
};

const LENGTH: u64 = 200_000_000;

rows! { a_download_survives_what_the_operator_does:
    a_200_mb_download_by_dr => Dr, Family::V4;
    a_200_mb_download_by_nat => Nat, Family::V4;
    a_200_mb_download_by_ipip => Ipip, Family::V4;
}

/// Slowed to about ten seconds, so that everything happens in the middle of it.
fn a_download_survives_what_the_operator_does(method: Method, family: Family) -> Result<()> {
    let (near, far) = if method == Ipip { (0, 3) } else { (3, 0) };
    let balanced = Balanced::new(Site::routed("download", near, far)?, &[method; 3])?;
    balanced.add_service("web", family, "wrr")?;
    balanced.add_server("web", 0, family, 1)?;
    balanced.web[0].add_file("big", LENGTH)?;
    let file = balanced.site.client.directory().join("big");
    let (path, url) = (file.to_string_lossy().into_owned(), balanced.url(family, "/files/big"));
    let argv = ["curl", "-sSf", "--limit-rate", "20M", "-o", &path, &url];
    let mut download = balanced.site.client.spawn("curl", &argv)?;
    arrives(&mut download, &file, LENGTH / 20)?;

    balanced.add_server("web", 1, family, 4)?;
    balanced.add_server("web", 2, family, 1)?;
    balanced.kill_agent()?;
    arrives(&mut download, &file, LENGTH / 5)?;
    let agent = balanced.site.director.spawn("agent", &[&lb_ctl()?, "agent"])?;
    wait_until(Duration::from_secs(20), "the new agent", || balanced.agent().is_ok())
        .with_context(|| agent.log().unwrap_or_default())?;
    balanced.lb("server set web web1 --weight 7")?;
    balanced.lb("server remove web web2")?;
    arrives(&mut download, &file, LENGTH / 2)?;
    balanced.lb("server set web web1 --weight 0")?;

    let status = download.wait(Duration::from_mins(1))?;
    ensure!(status.success(), "curl failed: {}", download.log()?);
    let expected = balanced.site.client.directory().join("expected");
    Pattern::write_file(&expected, LENGTH)?;
    balanced.site.client.run(&["cmp", &path, &expected.to_string_lossy()])?;
    assert_eq!(balanced.curl(family)?, "web3", "web1 has weight 0 and web2 is gone");
    Ok(())
}

rows! { a_download_survives_the_same_over_ipv6:
    a_200_mb_download_by_dr_over_ipv6 => Dr;
    a_200_mb_download_by_nat_over_ipv6 => Nat;
    a_200_mb_download_by_ipip_over_ipv6 => Ipip;
}

/// Ten seconds each, for what IPv4 has shown of all but the packets: those have tests of their own.
fn a_download_survives_the_same_over_ipv6(method: Method) -> Result<()> {
    if !full::is_asked_for(&format!("a 200 MB download by {} over IPv6", method.word()))? {
        return Ok(());
    }
    a_download_survives_what_the_operator_does(method, Family::V6)
}

#[test]
fn removing_a_server_under_load_breaks_only_its_own_connections() -> Result<()> {
    const CLIENTS: usize = 30;
    let balanced = Balanced::new(Site::routed("remove", 3, 0)?, &[Dr, Nat, Ipip])?;
    balanced.serve(Family::V4, "rr", &[1, 1, 1])?;
    let service = socket(balanced.site.vip(Family::V4), PORT);
    let (answered, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let ask_until_it_is_over = || {
        let mut connection = http::Connection::open(&balanced.site.client, service)?;
        let server = connection.get("/")?.server;
        while !over.load(Relaxed) {
            match connection.get("/") {
                Ok(reply) => assert_eq!(reply.server, server, "the connection moved"),
                Err(error) => return Ok((server, Some(error))),
            }
            answered.fetch_add(1, Relaxed);
        }
        anyhow::Ok((server, None))
    };
    let more_answers = |count| {
        let before = answered.load(Relaxed);
        wait_until(Duration::from_secs(20), "answers", || answered.load(Relaxed) >= before + count)
    };
    let ends: Vec<_> = thread::scope(|scope| -> Result<Vec<_>> {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask_until_it_is_over)).collect();
        let removed = more_answers(1000)
            .and_then(|()| balanced.lb("server remove web web2 --yes"))
            .and_then(|()| more_answers(5000));
        over.store(true, Relaxed);
        removed?;
        clients
            .into_iter()
            .map(|client| client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })?;
    for server in ["web1", "web2", "web3"] {
        let own: Vec<_> = ends.iter().filter(|(name, _)| name == server).collect();
        assert_eq!(own.len(), CLIENTS / 3, "{server}");
        assert!(own.iter().all(|(_, error)| error.is_some() == (server == "web2")), "{server}: {own:#?}");
    }
    let after = balanced.shares(Family::V4, 20)?;
    assert!(!after.contains_key("web2"), "{after:?}");
    Ok(())
}

#[test]
fn a_draining_server_keeps_its_connections_and_gets_no_new_one() -> Result<()> {
    let balanced = Balanced::new(Site::routed("drain", 2, 0)?, &[Dr, Dr])?;
    balanced.serve(Family::V4, "rr", &[1, 1])?;
    let service = socket(balanced.site.vip(Family::V4), PORT);
    let mut open = Vec::new();
    for _ in 0..10 {
        let mut connection = http::Connection::open(&balanced.site.client, service)?;
        let server = connection.get("/")?.server;
        open.push((server, connection));
    }
    balanced.lb("server drain web web1")?;
    for (server, connection) in &mut open {
        assert_eq!(&connection.get("/")?.server, server);
    }
    assert_eq!(balanced.shares(Family::V4, 10)?.get("web2"), Some(&10));
    balanced.lb("server undrain web web1")?;
    assert_eq!(balanced.shares(Family::V4, 10)?.get("web1"), Some(&5));
    Ok(())
}

#[test]
fn the_configuration_is_there_again_after_a_restart() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("restart", 2)?, &[Dr, Dr])?;
    balanced.serve(Family::V4, "wrr", &[3, 1])?;
    let before = balanced.site.director.lb("export")?;
    balanced.kill_agent()?;
    assert_eq!(balanced.shares(Family::V4, 8)?.len(), 2, "no traffic without an agent");
    let _agent = balanced.site.director.spawn("agent", &[&lb_ctl()?, "agent"])?;
    wait_until(Duration::from_secs(20), "the new agent", || balanced.site.director.lb("export").is_ok())?;
    assert_eq!(balanced.site.director.lb("export")?, before);
    Ok(())
}

rows! { a_restarted_agent_keeps_the_next_hop_of_a_slow_neighbour:
    a_slow_neighbour_by_dr => Dr;
    a_slow_neighbour_by_nat => Nat;
    a_slow_neighbour_by_ipip => Ipip;
}

/// The server is there but answers ARP only long after the new agent does its work; no packet is dropped meanwhile.
fn a_restarted_agent_keeps_the_next_hop_of_a_slow_neighbour(method: Method) -> Result<()> {
    let balanced = Balanced::new(Site::routed("slow", 1, 0)?, &[method])?;
    let mut connection = without_agent_and_neighbour(&balanced, PATIENT)?;
    let (director, server) = (&balanced.site.director, &balanced.site.servers[0]);
    let entry = format!("neighbour show {}", server.address(Family::V4));
    let agent = director.spawn("agent", &[&lb_ctl()?, "agent"])?;
    wait_until(Duration::from_secs(20), "the new agent", || balanced.agent().is_ok())
        .with_context(|| agent.log().unwrap_or_default())?;
    let known = director.ip(&entry)?;
    assert!(known.contains("INCOMPLETE"), "the neighbour is known or was given up: {known:?}");
    assert_eq!(connection.get("/")?.server, "web1", "while the neighbour is not known");
    assert_eq!(balanced.curl(Family::V4)?, "web1", "a new connection");
    answer_arp(&server.host, true)?;
    wait_until(Duration::from_secs(5), "the neighbour", || {
        director.ip(&entry).is_ok_and(|entry| entry.contains("lladdr"))
    })?;
    assert_eq!(connection.get("/")?.server, "web1");
    assert_eq!(balanced.packets_of("no-next-hop")?, 0);
    Ok(())
}

rows! { a_connection_outlives_a_neighbour_that_is_silent_at_a_restart:
    a_silent_neighbour_that_the_kernel_gives_up => IMPATIENT;
    a_silent_neighbour_that_the_kernel_does_not_give_up => PATIENT;
}

/// A server that stays silent gets no packet in the end; when it answers again its connections go on.
fn a_connection_outlives_a_neighbour_that_is_silent_at_a_restart(questions: u32) -> Result<()> {
    let balanced = Balanced::new(Site::routed("silent", 1, 0)?, &[Dr])?;
    let mut connection = without_agent_and_neighbour(&balanced, questions)?;
    let agent = balanced.site.director.spawn("agent", &[&lb_ctl()?, "agent"])?;
    let is_unreachable =
        || balanced.site.director.lb("server list").is_ok_and(|it| it.contains("unreachable"));
    wait_until(Duration::from_secs(15), "the new agent to give the server up", is_unreachable).with_context(
        || {
            format!(
                "{:?} {:?} {:?}",
                balanced.site.director.lb("server list"),
                balanced.site.director.ip("neighbour"),
                agent.log()
            )
        },
    )?;
    assert!(balanced.curl(Family::V4).is_err(), "a server without a next hop answered");
    answer_arp(&balanced.site.servers[0].host, true)?;
    wait_until(Duration::from_secs(20), "the server to be back", || !is_unreachable())?;
    assert_eq!(connection.get("/")?.server, "web1");
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    Ok(())
}

/// Questions after which the kernel gives a neighbour up, 50 ms each: after a second, or long after the agent does.
const IMPATIENT: u32 = 20;
const PATIENT: u32 = 1_000;

/// A connection to the only server, whose agent was killed, whose neighbour entry is gone, and which answers no ARP.
fn without_agent_and_neighbour(balanced: &Balanced, questions: u32) -> Result<http::Connection> {
    balanced.serve(Family::V4, "rr", &[1])?;
    let (director, server) = (&balanced.site.director, &balanced.site.servers[0].host);
    let service = socket(balanced.site.vip(Family::V4), PORT);
    let mut connection = http::Connection::open(&balanced.site.client, service)?;
    connection.get("/")?;
    balanced.kill_agent()?;
    answer_arp(server, false)?;
    // An answer that is on its way already brings the entry back once.
    let entry = format!("neighbour show {}", balanced.site.servers[0].address(Family::V4));
    wait_until(Duration::from_secs(5), "the neighbour to be forgotten", || {
        director.ip("neighbour flush all").is_ok()
            && director.ip(&entry).is_ok_and(|entry| !entry.contains("lladdr"))
    })?;
    director.sysctl(&format!("net/ipv4/neigh/{DEVICE}/retrans_time_ms"), "50")?;
    director.sysctl(&format!("net/ipv4/neigh/{DEVICE}/mcast_solicit"), &questions.to_string())?;
    Ok(connection)
}

/// Lets a server answer questions for its own address or for none (`arp_ignore` of 8).
pub(crate) fn answer_arp(server: &Host, answers: bool) -> Result<()> {
    server.sysctl("net/ipv4/conf/all/arp_ignore", if answers { "1" } else { "8" })
}

/// Waits until `length` bytes of the download are there; it must not be over by then.
fn arrives(download: &mut ChildGuard, file: &std::path::Path, length: u64) -> Result<()> {
    wait_until(Duration::from_secs(30), &format!("{length} bytes of the download"), || {
        std::fs::metadata(file).is_ok_and(|file| file.len() >= length) || !download.is_running()
    })?;
    ensure!(download.is_running(), "the download ended early: {}", download.log()?);
    Ok(())
}

/// The path of the program under test.
pub(crate) fn lb_ctl() -> Result<String> {
    Ok(lb_tests::lab::lb_ctl::binary()?.to_string_lossy().into_owned())
}
