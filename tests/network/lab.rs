//! The lab itself: what the other network tests stand on.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use lb_tests::lab::named::{Named, who_answers};
use lb_tests::lab::nginx::Nginx;
use lb_tests::lab::site::{FAMILIES, Family, Site};
use lb_tests::lab::{Host, Lab, Pattern, http, wait_until};

fn ping(from: &Host, to: IpAddr) -> Result<()> {
    from.run(&["ping", "-n", "-c", "1", "-W", "2", &to.to_string()]).map(drop)
}

/// The processes that are inside a namespace, asked from `ip` and not from the lab.
fn processes_in(netns: &str) -> String {
    let output = std::process::Command::new("ip").args(["netns", "pids", netns]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

#[test]
fn machines_on_one_segment_reach_each_other() -> Result<()> {
    let site = Site::one_segment("one", 2)?;
    for family in FAMILIES {
        ping(&site.client, site.director_address(family))?;
        for server in &site.servers {
            ping(&site.client, server.address(family))?;
            ping(&server.host, site.director_address(family))?;
        }
        assert!(ping(&site.client, site.vip(family)).is_err(), "nobody has the VIP yet");
    }
    Ok(())
}

#[test]
fn machines_behind_the_router_reach_each_other() -> Result<()> {
    let site = Site::routed("routed", 1, 1)?;
    for family in FAMILIES {
        ping(&site.client, site.director_address(family))?;
        for server in &site.servers {
            ping(&site.client, server.address(family))?;
            ping(&site.director, server.address(family))?;
        }
    }
    Ok(())
}

#[test]
fn two_arms_do_not_forward_by_themselves() -> Result<()> {
    let site = Site::two_arms("arms", 1)?;
    for family in FAMILIES {
        ping(&site.director, site.client_address(family))?;
        ping(&site.director, site.servers[0].address(family))?;
        assert!(ping(&site.client, site.servers[0].address(family)).is_err(), "{family:?}");
    }
    Ok(())
}

#[test]
fn a_wire_joins_two_machines() -> Result<()> {
    let lab = Lab::new("wire")?;
    let (one, other) = (lab.host("one")?, lab.host("other")?);
    let (near, far) = lab.wire((&one, "a"), (&other, "b"))?;
    near.add_address("10.9.0.1/30")?;
    far.add_address("10.9.0.2/30")?;
    ping(&one, "10.9.0.2".parse()?)?;
    let neighbours = one.ip("neighbour show 10.9.0.2")?;
    assert!(neighbours.contains(&far.mac_text()), "{neighbours}");
    Ok(())
}

#[test]
fn offloads_are_off_where_packets_are_made() -> Result<()> {
    let site = Site::one_segment("offload", 1)?;
    for host in [&site.client, &site.director, &site.servers[0].host] {
        let features = host.run(&["ethtool", "-k", "eth0"])?;
        for line in [
            "tx-checksumming: off",
            "tx-tcp-segmentation: off",
            "generic-segmentation-offload: off",
            "generic-receive-offload: on",
        ] {
            assert!(features.contains(line), "{}: no {line:?} in\n{features}", host.name());
        }
    }
    Ok(())
}

#[test]
fn the_carried_server_answers_its_client_and_curl() -> Result<()> {
    let site = Site::one_segment("http", 1)?;
    let server = &site.servers[0];
    let carried = http::Server::start(&server.host, 80)?;
    for family in FAMILIES {
        let address = SocketAddr::new(server.address(family), 80);
        let mut connection = http::Connection::open(&site.client, address)?;
        for _ in 0..2 {
            let reply = connection.get("/")?;
            assert_eq!(
                (reply.status, reply.server.as_str(), reply.body.as_slice()),
                (200, "web1", &b"web1\n"[..])
            );
        }
        assert_eq!(site.client.run(&["curl", "-sS", &format!("http://{address}/")])?, "web1\n");
    }
    assert_eq!(carried.served(), 6);
    Ok(())
}

#[test]
fn the_carried_server_and_nginx_serve_the_same_bytes() -> Result<()> {
    const LENGTH: u64 = 3_000_001;
    let site = Site::one_segment("bytes", 1)?;
    let server = &site.servers[0];
    let _carried = http::Server::start(&server.host, 80)?;
    let nginx = Nginx::start(&server.host, 8080)?;
    nginx.add_file("big", LENGTH)?;
    let mut expected = Vec::new();
    Pattern::default().copy_to(&mut expected, LENGTH)?;
    let address = server.address(Family::V4);
    for url in [format!("http://{address}/bytes/{LENGTH}"), format!("http://{address}:8080/files/big")] {
        let file = site.client.directory().join("download");
        site.client.run(&["curl", "-sSf", "-o", &file.to_string_lossy(), &url])?;
        assert!(fs::read(&file)? == expected, "{url} is another file");
    }
    Ok(())
}

#[test]
fn nginx_answers_with_its_name_on_both_families() -> Result<()> {
    let site = Site::one_segment("nginx", 2)?;
    let running: Vec<_> =
        site.servers.iter().map(|server| Nginx::start(&server.host, 80)).collect::<Result<_>>()?;
    for server in &site.servers {
        for family in FAMILIES {
            let address = SocketAddr::new(server.address(family), 80);
            let answer = site.client.run(&["curl", "-sSi", &format!("http://{address}/")])?;
            let name = server.name();
            assert!(answer.contains(&format!("X-Server: {name}")), "{answer}");
            assert!(answer.ends_with(&format!("\n{name}\n")), "{answer}");
        }
    }
    drop(running);
    let gone = http::get(&site.client, SocketAddr::new(site.servers[0].address(Family::V4), 80), "/");
    assert!(gone.is_err(), "nginx still answers: {gone:?}");
    Ok(())
}

#[test]
fn named_answers_on_the_vip_and_its_own_address() -> Result<()> {
    let site = Site::one_segment("dns", 1)?;
    let server = &site.servers[0];
    for family in FAMILIES {
        server.host.hold_vip(site.vip(family))?;
    }
    let _named = Named::start(&server.host, 53)?;
    for family in FAMILIES {
        let own = server.address(family).to_string();
        assert_eq!(who_answers(&site.client, &own, 53, &[])?, "web1");
        assert_eq!(who_answers(&site.client, &own, 53, &["+tcp"])?, "web1");
        let vip = site.vip(family).to_string();
        assert_eq!(who_answers(&server.host, &vip, 53, &[])?, "web1");
    }
    Ok(())
}

#[test]
fn many_clients_are_answered_each() -> Result<()> {
    let site = Site::one_segment("many", 1)?;
    let _carried = http::Server::start(&site.servers[0].host, 80)?;
    for family in FAMILIES {
        let clients = site.many_clients(family)?;
        let address = SocketAddr::new(site.servers[0].address(family), 80);
        for number in [1, 300, u16::MAX] {
            let source = clients.address(number);
            let mut connection = http::Connection::open_from(&site.client, source, address)?;
            assert_eq!((connection.local_address()?.ip(), connection.get("/")?.status), (source, 200));
        }
    }
    Ok(())
}

#[test]
fn a_server_that_holds_the_vip_does_not_answer_for_it() -> Result<()> {
    let site = Site::one_segment("arp", 1)?;
    for family in FAMILIES {
        site.servers[0].host.hold_vip(site.vip(family))?;
        assert!(ping(&site.client, site.vip(family)).is_err(), "{family:?}: a server announces the VIP");
    }
    Ok(())
}

#[test]
fn each_machine_has_a_bpffs_of_its_own() -> Result<()> {
    let site = Site::one_segment("bpffs", 1)?;
    for host in [&site.director, &site.servers[0].host] {
        let kind = host.run(&["sh", "-c", "stat --file-system --format %T \"$LB_BPFFS\""])?;
        assert_eq!(kind.trim(), "bpf_fs");
    }
    Ok(())
}

#[test]
fn a_failing_command_tells_what_it_wrote() -> Result<()> {
    let lab = Lab::new("fail")?;
    let error =
        lab.host("one")?.run(&["sh", "-c", "echo what went wrong >&2; exit 3"]).unwrap_err().to_string();
    assert!(error.contains("what went wrong") && error.contains("exit status: 3"), "{error}");
    Ok(())
}

#[test]
fn nothing_is_left_of_a_dropped_lab() -> Result<()> {
    let site = Site::one_segment("drop", 1)?;
    let (id, directory) = (site.lab.id().to_owned(), site.lab.directory().to_owned());
    let daemon = site.servers[0].host.run(&["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"])?;
    let daemon = format!("/proc/{}/ns/net", daemon.trim());
    let _server = http::Server::start(&site.servers[0].host, 80)?;
    ensure!(fs::exists(&daemon)?, "the daemon ended by itself");
    drop(site);
    assert_eq!(namespaces_of(&id)?, Vec::<String>::new());
    assert!(!directory.exists(), "the directory is left");
    assert!(!fs::exists(&daemon)?, "a process is left");
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    assert!(!mounts.contains(&id), "a mount is left:\n{mounts}");
    Ok(())
}

#[test]
fn nothing_is_left_of_a_lab_after_a_panic() -> Result<()> {
    let (send, receive) = std::sync::mpsc::channel();
    let panicked = std::thread::spawn(move || {
        let lab = Lab::new("panic").expect("a lab");
        let _host = lab.host("one").expect("a host");
        send.send(lab.id().to_owned()).expect("a listener");
        panic!("on purpose");
    });
    assert!(panicked.join().is_err(), "it did not panic");
    assert_eq!(namespaces_of(&receive.recv()?)?, Vec::<String>::new());
    Ok(())
}

/// Runs this very test again as a process that makes a lab and is killed in it.
#[test]
fn the_next_lab_removes_what_a_killed_process_left() -> Result<()> {
    const MARK: &str = "LBT_TEST_VICTIM";
    if let Ok(mark) = std::env::var(MARK) {
        let lab = Lab::new("victim")?;
        let host = lab.host("one")?;
        let _sleeper = host.spawn("sleeper", &["sleep", "1000"])?;
        fs::write(&mark, host.netns())?;
        return wait_until(Duration::from_mins(1), "being killed", || false);
    }
    let lab = Lab::new("killer")?;
    let mark = lab.directory().join("mark");
    let name = std::thread::current().name().map(str::to_owned).unwrap_or_default();
    let mut victim = std::process::Command::new(std::env::current_exe()?)
        .args(["--exact", &name])
        .env(MARK, &mark)
        .stdout(std::process::Stdio::null())
        .spawn()?;
    wait_until(Duration::from_secs(30), "the victim's lab", || {
        fs::read_to_string(&mark).is_ok_and(|text| !text.is_empty())
    })?;
    let netns = fs::read_to_string(&mark)?;
    ensure!(!processes_in(&netns).is_empty(), "the victim has nothing to leave");
    victim.kill()?;
    victim.wait()?;
    drop(Lab::new("janitor")?);
    // The janitor of a test beside this one may have begun first.
    wait_until(Duration::from_secs(10), "the janitor", || {
        namespaces_of(&netns).is_ok_and(|left| left.is_empty())
    })
}

fn namespaces_of(id: &str) -> Result<Vec<String>> {
    let names =
        fs::read_dir("/run/netns")?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| name.starts_with(id)).collect())
}
