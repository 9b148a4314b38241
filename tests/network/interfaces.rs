//! The life of the director's interfaces: gone and back, down and up, renamed, and what the kernel has of them removed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lb_tests::lab::site::{DEVICE, Family, INNER_DEVICE, Site};
use lb_tests::lab::{ChildGuard, Host, http, wait_until};

use crate::continuity::lb_ctl;
use crate::rows;
use crate::support::{
    Balanced,
    Method::{self, Dr, Ipip, Nat},
    PORT, socket,
};

/// Within this time of the interface's return there is traffic: 0.1 s as a rule, and 1 s more when an ARP request is lost.
/// The kernel asks for a server's MAC address once a second, and the first question is lost
/// when the switch's port is not up yet.
const BACK: Duration = Duration::from_secs(2);

/// Deletes the device and makes it again, or takes it down and up.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Deleted,
    Down,
}

rows! { traffic_goes_on_as_soon_as_the_interface_is_back:
    a_deleted_interface_by_dr => Site::one_segment("del", 1)?, Dr, DEVICE, Fate::Deleted;
    a_deleted_interface_by_nat => Site::routed("delnat", 1, 0)?, Nat, DEVICE, Fate::Deleted;
    a_deleted_interface_by_ipip => Site::routed("delip", 0, 1)?, Ipip, DEVICE, Fate::Deleted;
    a_deleted_interface_at_the_clients => Site::two_arms("delout", 1)?, Nat, DEVICE, Fate::Deleted;
    a_deleted_interface_at_the_servers => Site::two_arms("delin", 1)?, Nat, INNER_DEVICE, Fate::Deleted;
    an_interface_that_was_down_by_dr => Site::one_segment("down", 1)?, Dr, DEVICE, Fate::Down;
    an_interface_that_was_down_at_the_clients => Site::two_arms("downout", 1)?, Nat, DEVICE, Fate::Down;
    an_interface_that_was_down_at_the_servers => Site::two_arms("downin", 1)?, Nat, INNER_DEVICE, Fate::Down;
}

/// Under load; a connection that was open before goes on as well.
fn traffic_goes_on_as_soon_as_the_interface_is_back(
    site: Site,
    method: Method,
    device: &str,
    fate: Fate,
) -> Result<()> {
    let balanced = Balanced::new(site, &[method])?;
    balanced.serve(Family::V4, "rr", &[1])?;
    let (site, service) = (&balanced.site, socket(balanced.site.vip(Family::V4), PORT));
    let mut open = http::Connection::open(&site.client, service)?;
    open.get("/")?;
    let returned = under_load(&site.client, service, || {
        site.director.ip(&match fate {
            Fate::Deleted => format!("link delete {device}"),
            Fate::Down => format!("link set dev {device} down"),
        })?;
        wait_until(Duration::from_secs(5), "the traffic to stop", || !is_answered(&site.client, service))?;
        match fate {
            Fate::Deleted => site.plug_director(device)?,
            Fate::Down => drop(site.director.ip(&format!("link set dev {device} up"))?),
        }
        let returned = Instant::now();
        wait_until(Duration::from_secs(10), "an answer", || is_answered(&site.client, service))
            .with_context(|| what_is_there(&balanced))?;
        Ok(returned.elapsed())
    })?;
    ensure!(returned < BACK, "the first answer came {returned:?} after {device}");
    assert_eq!(open.get("/").context("on the connection from before")?.server, "web1");
    assert_eq!(pins(&site.director), pins_of(&balanced)?);
    Ok(())
}

#[test]
fn a_link_whose_interface_is_gone_is_removed() -> Result<()> {
    let balanced = Balanced::new(Site::two_arms("defunct", 0)?, &[])?;
    let director = &balanced.site.director;
    assert_eq!(pins(director), [DEVICE, INNER_DEVICE]);
    director.ip(&format!("link delete {INNER_DEVICE}"))?;
    wait_until(Duration::from_secs(5), "the link to be removed", || pins(director) == [DEVICE])
}

#[test]
fn a_pin_that_somebody_removed_is_put_back() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("unpin", 1)?, &[Dr])?;
    balanced.serve(Family::V4, "rr", &[1])?;
    let director = &balanced.site.director;
    std::fs::remove_file(director.directory().join("bpf/links").join(DEVICE))?;
    let attached = || director.ip(&format!("link show dev {DEVICE}")).is_ok_and(|it| it.contains("prog/xdp"));
    wait_until(Duration::from_secs(20), "the program to be back", attached)?;
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    assert_eq!(pins(director), [DEVICE]);
    Ok(())
}

#[test]
fn after_a_reboot_the_agent_attaches_and_serves_as_before() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("reboot", 2)?, &[Dr, Dr])?;
    balanced.serve(Family::V4, "rr", &[1, 1])?;
    balanced.lb("server drain web web1")?;
    let (director, before) = (&balanced.site.director, balanced.site.director.lb("export")?);
    balanced.kill_agent()?;
    for directory in ["links", "maps"] {
        std::fs::remove_dir_all(director.directory().join("bpf").join(directory))?;
    }
    let vip = balanced.site.vip(Family::V4);
    director.ip(&format!("address delete {vip}/32 dev {DEVICE}"))?;
    assert!(balanced.curl(Family::V4).is_err(), "it forwards without programs");
    let _agent = start_agent(&balanced)?;
    assert_eq!(director.lb("export")?, before);
    assert_eq!(balanced.shares(Family::V4, 4)?.into_iter().collect::<Vec<_>>(), [("web2".to_owned(), 4)]);
    Ok(())
}

/// The other program is the decapsulation of this product, which knows nothing of the agent.
#[test]
fn an_interface_that_another_program_had_is_attached_when_that_goes() -> Result<()> {
    let balanced = Balanced::new(Site::two_arms("foreign", 1)?, &[Nat])?;
    balanced.serve(Family::V4, "rr", &[1])?;
    let director = &balanced.site.director;
    balanced.kill_agent()?;
    std::fs::remove_file(director.directory().join("bpf/links").join(INNER_DEVICE))?;
    director.lb(&format!("decap attach {INNER_DEVICE} --vip 10.9.9.9"))?;
    let _agent = start_agent(&balanced)?;
    let status = director.lb("status")?;
    ensure!(status.contains(INNER_DEVICE) && status.contains("another XDP program"), "{status}");
    director.lb(&format!("decap detach {INNER_DEVICE}"))?;
    let attached = || pins(director).contains(&INNER_DEVICE.to_owned());
    wait_until(Duration::from_secs(20), "the program to be attached", attached)?;
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    let events = director.lb("events --no-follow")?;
    ensure!(events.contains("attached again"), "{events}");
    Ok(())
}

/// The agent was killed between attaching and storing: the store is the one from before.
#[test]
fn an_interface_that_is_attached_and_not_stored_can_be_detached() -> Result<()> {
    let site = Site::two_arms("stray", 0)?;
    site.director.lb(&format!("attach {DEVICE}"))?;
    let balanced = Balanced::attached(site, &[])?;
    let director = &balanced.site.director;
    let store = director.directory().join("state/store.json");
    let before = std::fs::read(&store)?;
    director.lb(&format!("attach {INNER_DEVICE}"))?;
    balanced.kill_agent()?;
    std::fs::write(&store, before)?;
    let _agent = start_agent(&balanced)?;
    let status = director.lb("status")?;
    ensure!(status.contains(&format!("`lb-ctl detach {INNER_DEVICE}` takes it off")), "{status}");
    director.lb(&format!("detach {INNER_DEVICE} --yes"))?;
    assert_eq!(pins(director), [DEVICE]);
    ensure!(!director.ip(&format!("link show dev {INNER_DEVICE}"))?.contains("prog/xdp"), "still attached");
    let again = director.lb_ctl_output(&["detach", INNER_DEVICE])?;
    ensure!(again.status.code() == Some(1), "what is not attached can be detached");
    Ok(())
}

#[test]
fn a_renamed_interface_forwards_on_until_its_new_name_is_recorded() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("rename", 1)?, &[Dr])?;
    balanced.serve(Family::V4, "rr", &[1])?;
    let director = &balanced.site.director;
    director.ip(&format!("link set dev {DEVICE} name lan0"))?;
    let warning = format!("{DEVICE} is called lan0 now");
    wait_until(Duration::from_secs(5), "the warning", || {
        director.lb("status").is_ok_and(|status| status.contains(&warning))
    })?;
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    balanced.kill_agent()?;
    let _agent = start_agent(&balanced)?;
    assert_eq!(balanced.curl(Family::V4)?, "web1", "after a restart");
    let (client, service) = (&balanced.site.client, socket(balanced.site.vip(Family::V4), PORT));
    let mut open = http::Connection::open(client, service)?;
    open.get("/")?;
    let refused = director.lb_ctl_output(&["detach", DEVICE])?;
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(refused.status.code() == Some(1) && told.contains("live connection"), "{told}");
    assert_eq!(open.get("/").context("nothing was confirmed")?.server, "web1");
    let events = director.lb("events --no-follow")?;
    ensure!(
        events.contains("is called lan0 now") && !events.contains("no such interface any more"),
        "{events}"
    );
    under_load(client, service, || {
        director.lb("attach lan0")?;
        director.lb(&format!("detach {DEVICE} --yes")).map(drop)
    })?;
    assert_eq!(pins(director), ["lan0"]);
    let status = director.lb("status")?;
    ensure!(!status.contains("warning"), "{status}");
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    let vip = balanced.site.vip(Family::V4).to_string();
    let has_vip = || director.ip("address show").is_ok_and(|shown| shown.contains(&format!("{vip}/")));
    ensure!(has_vip(), "the VIP went with the name");
    balanced.lb("service remove web --yes")?;
    ensure!(!has_vip(), "the VIP stays though no service has it");
    Ok(())
}

#[test]
fn nat_over_an_arm_without_the_program_is_refused_with_what_mends_it() -> Result<()> {
    let site = Site::two_arms("onearm", 1)?;
    site.director.lb(&format!("attach {DEVICE}"))?;
    let balanced = Balanced::attached(site, &[Nat])?;
    balanced.add_service("web", Family::V4, "rr")?;
    let error = format!("{:#}", balanced.add_server("web", 0, Family::V4, 1).unwrap_err());
    let command = format!("attach {INNER_DEVICE}");
    ensure!(error.contains(&format!("its replies would enter by {INNER_DEVICE}")), "{error}");
    ensure!(error.contains(&format!("`lb-ctl {command}`")), "{error}");
    balanced.lb(&command)?;
    balanced.add_server("web", 0, Family::V4, 1)?;
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    let error = format!("{:#}", balanced.lb(&format!("detach {INNER_DEVICE}")).unwrap_err());
    ensure!(error.contains("makes web/web1 unreachable"), "{error}");
    balanced.lb(&format!("detach {INNER_DEVICE} --yes"))?;
    let status = balanced.site.director.lb("status")?;
    ensure!(status.contains(&format!("`lb-ctl {command}`")), "{status}");
    Ok(())
}

/// Runs `work` while four clients ask as fast as they are answered; some are answered, before and after.
fn under_load<T>(client: &Host, service: SocketAddr, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let (answers, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let ask = || {
        while !over.load(Relaxed) {
            answers.fetch_add(usize::from(is_answered(client, service)), Relaxed);
        }
    };
    let more = || {
        let before = answers.load(Relaxed);
        wait_until(Duration::from_secs(10), "answers under load", || answers.load(Relaxed) > before + 100)
    };
    thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(ask)));
        let result = more().and_then(|()| work()).and_then(|result| more().map(|()| result));
        over.store(true, Relaxed);
        result
    })
}

/// Whether a request over a connection of its own is answered at once; no retransmission is waited for.
fn is_answered(client: &Host, service: SocketAddr) -> bool {
    const AT_ONCE: Duration = Duration::from_millis(100);
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&service, AT_ONCE)?;
        stream.set_read_timeout(Some(AT_ONCE))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        stream.read(&mut [0; 16])
    };
    matches!(client.within(ask), Ok(Ok(length)) if length > 0)
}

/// For the report of a failure.
fn what_is_there(balanced: &Balanced) -> String {
    let director = &balanced.site.director;
    let log = std::fs::read_to_string(director.directory().join("state/agent.log"));
    let parts =
        [director.lb("status"), director.lb("list"), director.ip("address"), director.ip("neighbour")];
    parts.into_iter().flatten().chain(log).collect::<Vec<_>>().join("\n")
}

pub(crate) fn start_agent(balanced: &Balanced) -> Result<ChildGuard> {
    let agent = balanced.site.director.spawn("agent", &[&lb_ctl()?, "agent"])?;
    let answers = || balanced.lb_json("status").is_ok_and(|status| !status["agent"].is_null());
    wait_until(Duration::from_secs(20), "the new agent", answers)
        .with_context(|| agent.log().unwrap_or_default())?;
    Ok(agent)
}

/// The names of the pinned links, sorted.
fn pins(director: &Host) -> Vec<String> {
    let entries = std::fs::read_dir(director.directory().join("bpf/links"));
    let names = entries.into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// The names of the interfaces that `status` knows.
fn pins_of(balanced: &Balanced) -> Result<Vec<String>> {
    let status = balanced.lb_json("status")?;
    let all = status["interfaces"].as_array().context("no interfaces")?;
    Ok(all.iter().filter_map(|interface| Some(interface["name"].as_str()?.to_owned())).collect())
}
