//! The decapsulation program of a server that is to outlive reboots, interfaces and addresses.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lb_tests::lab::site::{DEVICE, FAMILIES, Family, Site};
use lb_tests::lab::{Host, wait_for, wait_until};
use serde_json::Value;

use crate::rows;
use crate::support::{Balanced, Method::Ipip};

/// Longer than the promised second, for machines that do other things as well.
const SOON: Duration = Duration::from_secs(10);

/// A service of each family, with one `ipip` server behind a router whose program is persistent.
fn persistent(name: &str) -> Result<Balanced> {
    let balanced = Balanced::new(Site::routed(name, 0, 1)?, &[Ipip])?;
    for family in FAMILIES {
        let service = format!("web-{family:?}").to_lowercase();
        balanced.add_service(&service, family, "rr")?;
        balanced.add_server(&service, 0, family, 1)?;
    }
    attach(&balanced)?;
    both_answer(&balanced)?;
    Ok(balanced)
}

fn attach(balanced: &Balanced) -> Result<String> {
    let [v4, v6] = FAMILIES.map(|family| balanced.site.vip(family));
    server(balanced).lb(&format!("decap attach {DEVICE} --vip {v4} --vip {v6} --persist"))
}

fn server(balanced: &Balanced) -> &Host {
    &balanced.site.servers[0].host
}

fn both_answer(balanced: &Balanced) -> Result<()> {
    FAMILIES.iter().try_for_each(|family| balanced.curl(*family).map(drop))
}

fn file(host: &Host) -> PathBuf {
    host.directory().join("state/decap.json")
}

fn list(host: &Host) -> Result<Value> {
    let text = host.lb("decap list --json")?;
    serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
}

fn supervisor(host: &Host) -> Result<Option<u64>> {
    Ok(list(host)?.get("supervisor").and_then(Value::as_u64))
}

/// Whether the only interface is attached; it is persistent in any case.
fn is_attached(host: &Host) -> Result<bool> {
    let list = list(host)?;
    ensure!(list.pointer("/interfaces/0/persistent") == Some(&Value::Bool(true)), "{list}");
    Ok(list.pointer("/interfaces/0/attached").is_some_and(Value::is_string))
}

fn attached_within(host: &Host, deadline: Duration) -> Result<()> {
    wait_until(deadline, "the program to be attached again", || is_attached(host).unwrap_or(false))
}

/// Kills it as a crash would, and waits for its end.
fn kill_supervisor(host: &Host) -> Result<u64> {
    let pid = supervisor(host)?.context("nothing supervises")?;
    host.run(&["kill", "-9", &pid.to_string()])?;
    wait_until(SOON, "the supervisor to end", || matches!(supervisor(host), Ok(None)))?;
    Ok(pid)
}

/// What a failing `lb-ctl` says.
fn refusal(host: &Host, line: &str) -> Result<String> {
    let output = host.lb_ctl_output(&line.split_whitespace().collect::<Vec<_>>())?;
    ensure!(output.status.code() == Some(1), "`lb-ctl {line}` ended with {}", output.status);
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Removes the server's device and makes it anew, with its addresses and routes but another MAC address.
fn make_device_anew(site: &Site) -> Result<()> {
    let (server, router) = (&site.servers[0], site.router.as_ref().context("no router")?);
    let host = &server.host;
    host.ip(&format!("link delete dev {DEVICE}"))?;
    let link = host.directory().join("bpf/decap/links").join(DEVICE);
    wait_until(SOON, "the link of the lost interface to be removed", || !link.exists())?;
    host.ip(&format!("link add name {DEVICE} type veth peer name again netns {}", router.netns()))?;
    router.ip("link set dev again master remote up")?;
    host.ip(&format!("link set dev {DEVICE} up"))?;
    for family in FAMILIES {
        let prefix = if family == Family::V4 { 24 } else { 64 };
        host.add_address(DEVICE, &format!("{}/{prefix}", server.address(family)))?;
        let gateway = router.ip(&format!("-br {} address show dev remote scope global", option(family)))?;
        let gateway = gateway.split_whitespace().nth(2).and_then(|text| text.split('/').next());
        host.route("default", gateway.context("the router has no address")?.parse()?)?;
    }
    Ok(())
}

fn option(family: Family) -> &'static str {
    if family == Family::V4 { "-4" } else { "-6" }
}

#[test]
fn an_interface_that_was_made_anew_gets_the_program_again() -> Result<()> {
    let balanced = persistent("anew")?;
    make_device_anew(&balanced.site)?;
    let began = Instant::now();
    attached_within(server(&balanced), SOON)?;
    let took = began.elapsed();
    wait_until(SOON, "answers through the new interface", || both_answer(&balanced).is_ok())?;
    ensure!(took < Duration::from_secs(2), "it took {took:?}");
    server(&balanced).ip(&format!("link set dev {DEVICE} down"))?;
    server(&balanced).ip(&format!("link set dev {DEVICE} up"))?;
    attached_within(server(&balanced), SOON)
}

#[test]
fn a_reboot_loses_nothing() -> Result<()> {
    let balanced = persistent("reboot")?;
    let host = server(&balanced);
    kill_supervisor(host)?;
    both_answer(&balanced).context("without the supervisor")?;
    fs::remove_dir_all(host.directory().join("bpf/decap"))?;
    // The kernel lets go of a link a moment after its last reference is gone.
    wait_until(SOON, "the end of decapsulation", || balanced.curl(Family::V4).is_err())?;
    assert!(!is_attached(host)?);
    let lb_ctl = lb_tests::lab::lb_ctl::binary()?.to_string_lossy().into_owned();
    let mut unit = host.spawn("unit", &[&lb_ctl, "decap", "run"])?;
    attached_within(host, SOON).with_context(|| unit.log().unwrap_or_default())?;
    both_answer(&balanced)?;
    assert_eq!(supervisor(host)?, Some(u64::from(unit.pid())));
    host.run(&["kill", &unit.pid().to_string()])?;
    assert!(unit.wait(SOON)?.success(), "{}", unit.log()?);
    both_answer(&balanced).context("after the supervisor was stopped")
}

rows! { a_tunnel_may_end_at_an_address_that_the_server_got_later:
    a_new_ipv4_address => Family::V4, "10.0.2.77", 24;
    a_new_ipv6_address => Family::V6, "fd00:2::77", 64;
}

fn a_tunnel_may_end_at_an_address_that_the_server_got_later(
    family: Family,
    address: &str,
    prefix: u8,
) -> Result<()> {
    let balanced = persistent("moved")?;
    let host = server(&balanced);
    let (service, old) = (format!("web-{family:?}").to_lowercase(), balanced.site.servers[0].address(family));
    host.add_address(DEVICE, &format!("{address}/{prefix}"))?;
    balanced.lb(&format!("server add {service} {address} --name new --method ipip"))?;
    balanced.lb(&format!("server remove {service} web1"))?;
    wait_until(SOON, "the new address to be known", || balanced.curl(family).is_ok())?;
    host.sysctl(&format!("net/ipv4/conf/{DEVICE}/promote_secondaries"), "1")?;
    host.ip(&format!("address delete {old}/{prefix} dev {DEVICE}"))?;
    let ends_at = |address: &str| -> Result<bool> {
        let list = list(host)?;
        let addresses = list.get("addresses").and_then(Value::as_array).context("no addresses")?;
        Ok(addresses.iter().any(|known| known == address))
    };
    wait_until(SOON, "the old address to be forgotten", || matches!(ends_at(&old.to_string()), Ok(false)))?;
    assert!(ends_at(address)?);
    Ok(())
}

#[test]
fn there_is_one_supervisor_and_it_can_be_started_again() -> Result<()> {
    let balanced = persistent("one")?;
    let host = server(&balanced);
    let stand_in = supervisor(host)?.context("nothing supervises")?;
    let program = lb_tests::lab::lb_ctl::binary()?.to_string_lossy().into_owned();
    let own = host.spawn("supervisor", &[&program, "decap", "run"])?;
    let pid = u64::from(own.pid());
    wait_until(SOON, "it to take over", || matches!(supervisor(host), Ok(Some(now)) if now == pid))
        .with_context(|| own.log().unwrap_or_default())?;
    ensure!(!fs::exists(format!("/proc/{stand_in}/exe"))?, "the one that `attach` started goes on");
    let said = refusal(host, "decap run")?;
    assert!(said.contains(&format!("another decapsulation supervisor (pid {pid}) is running")), "{said}");
    assert!(said.contains(&format!("`kill {pid}` stops it; decapsulation goes on")), "{said}");
    let said = attach(&balanced)?;
    assert!(!said.contains("started the supervision"), "{said}");
    assert_eq!(supervisor(host)?, Some(pid));
    drop(own);
    let said = host.lb("decap list")?;
    assert!(said.contains("nothing supervises the persistent interfaces"), "{said}");
    let said = attach(&balanced)?;
    let next = supervisor(host)?.context("nothing supervises")?;
    assert_ne!(next, pid);
    assert!(said.contains(&format!("started the supervision: pid {next}")), "{said}");
    assert!(said.contains(&format!("`kill {next}` stops it, decapsulation goes on")), "{said}");
    both_answer(&balanced)
}

#[test]
fn a_broken_record_is_refused_and_decapsulation_goes_on() -> Result<()> {
    let balanced = persistent("broken")?;
    let host = server(&balanced);
    let good = fs::read_to_string(file(host))?;
    kill_supervisor(host)?;
    let rows = [
        (&good[..good.len() / 2], "line ", "repair it"),
        ("", "line 1", "repair it"),
        ("{\"format\": 99}", "has format 99", "newer version"),
    ];
    let vip = balanced.site.vip(Family::V4);
    for (text, why, hint) in rows {
        fs::write(file(host), text)?;
        let attach = format!("decap attach {DEVICE} --vip {vip} --persist");
        for line in [attach.as_str(), "decap run", "decap detach eth0"] {
            let said = refusal(host, line)?;
            assert!(said.contains(why) && said.contains(hint), "{line}: {said}");
        }
        assert_eq!(fs::read_to_string(file(host))?, text);
        let said = host.lb("decap list")?;
        assert!(said.contains(why) && said.contains(hint), "{said}");
        both_answer(&balanced)?;
    }
    fs::rename(file(host), file(host).with_extension("json.broken"))?;
    attach(&balanced)?;
    assert_eq!(fs::read_to_string(file(host))?, good);
    both_answer(&balanced)
}

#[test]
fn a_record_that_breaks_under_the_supervisor_takes_nothing_off() -> Result<()> {
    let balanced = persistent("breaks")?;
    let host = server(&balanced);
    let good = fs::read(file(host))?;
    fs::write(file(host), "{")?;
    make_device_anew(&balanced.site)?;
    wait_until(SOON, "the log to tell it", || {
        let log = fs::read_to_string(host.directory().join("state/decap.log"));
        log.is_ok_and(|log| log.contains("decap.json: EOF") && log.contains("repair it"))
    })?;
    wait_until(SOON, "what was known to be kept so", || both_answer(&balanced).is_ok())?;
    fs::write(file(host), good)?;
    attached_within(host, SOON)
}

#[test]
fn detach_forgets_the_interface_and_its_supervisor_ends() -> Result<()> {
    let balanced = persistent("forget")?;
    let host = server(&balanced);
    host.lb(&format!("decap detach {DEVICE}"))?;
    assert!(balanced.curl(Family::V4).is_err(), "it still decapsulates");
    assert!(!host.directory().join("bpf/decap").exists());
    wait_until(2 * SOON, "the supervisor to end", || matches!(supervisor(host), Ok(None)))?;
    let said = refusal(host, &format!("decap detach {DEVICE}"))?;
    assert!(said.contains("is not attached to it"), "{said}");
    attach(&balanced)?;
    host.ip(&format!("link delete dev {DEVICE}"))?;
    host.lb(&format!("decap detach {DEVICE}")).context("of an interface that is gone")?;
    assert!(!host.directory().join("bpf/decap").exists());
    Ok(())
}

#[test]
fn an_attach_that_fails_is_not_recorded() -> Result<()> {
    let balanced = persistent("fails")?;
    let host = server(&balanced);
    let before = fs::read(file(host))?;
    let vip = balanced.site.vip(Family::V4);
    let said = refusal(host, &format!("decap attach nothing0 --vip {vip} --persist"))?;
    assert!(said.contains("there is no such interface"), "{said}");
    assert_eq!(fs::read(file(host))?, before);
    fs::create_dir(file(host).with_extension("json.new"))?;
    let said = refusal(host, &format!("decap attach lo --vip {vip} --mode generic --persist"))?;
    assert!(said.contains("cannot write"), "{said}");
    assert!(!host.ip("link show dev lo")?.contains("xdp"), "attached without a record");
    Ok(())
}

#[test]
fn a_command_that_was_killed_at_any_moment_may_be_repeated() -> Result<()> {
    const KILLS: u32 = 24;
    let balanced = persistent("killed")?;
    let host = server(&balanced);
    let lb_ctl = lb_tests::lab::lb_ctl::binary()?.to_string_lossy().into_owned();
    let vip = balanced.site.vip(Family::V4).to_string();
    let attach_argv = [&lb_ctl, "decap", "attach", DEVICE, "--vip", &vip, "--persist"];
    let detach_argv = [&lb_ctl, "decap", "detach", DEVICE];
    for kill in 0..KILLS {
        let argv = if kill % 2 == 0 { detach_argv.as_slice() } else { attach_argv.as_slice() };
        let mut command = host.spawn("killed", argv)?;
        let began = Instant::now();
        let moment = Duration::from_millis(u64::from(kill) * 3);
        wait_for(SOON, "the moment", || (began.elapsed() >= moment).then_some(()))?;
        command.kill()?;
        let left: Value = serde_json::from_slice(&fs::read(file(host))?)?;
        ensure!(left.get("format").is_some_and(|format| format == 1), "{left}");
    }
    attach(&balanced)?;
    assert!(is_attached(host)? && supervisor(host)?.is_some());
    both_answer(&balanced)
}
