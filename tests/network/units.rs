//! The systemd units: what systemd says of them, and what they do on a machine that systemd runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::lab::nginx::Nginx;
use lb_tests::lab::site::{DEVICE, Family, Site};
use lb_tests::lab::systemd::Systemd;
use lb_tests::lab::{Lab, http, wait_until};
use serde_json::Value;

use crate::support::{PORT, socket};

const AGENT: &str = "lb-agent.service";
/// What `systemd-analyze security` may find at most, in tenths; 100 is a service without any restriction.
const EXPOSURE: &str = "--threshold=27";

#[test]
fn systemd_finds_no_fault_in_the_units_and_little_exposure() -> Result<()> {
    let lab = Lab::new("units")?;
    let host = lab.host("host")?;
    let lb_ctl = lb_tests::lab::lb_ctl::binary()?;
    let mut names = Vec::new();
    for entry in fs::read_dir(units()?)? {
        let unit = entry?.path();
        let name = unit.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&unit)?.replace("/usr/local/sbin/lb-ctl", &lb_ctl.to_string_lossy());
        fs::write(host.directory().join(&name), text)?;
        let output = host.output(&["systemd-analyze", "verify", "--man=no", &format!("./{name}")])?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success() && !said.contains(&name), "{name}: {said}");
        host.run(&[
            "systemd-analyze",
            "security",
            "--offline=true",
            "--no-pager",
            EXPOSURE,
            &format!("./{name}"),
        ])?;
        names.push(name);
    }
    ensure!(names.iter().any(|name| name == AGENT), "{names:?}");
    Ok(())
}

/// Attach starts the unit, systemd starts a killed agent again, and neither its end nor a stop ends forwarding.
#[test]
fn attach_starts_the_unit_and_systemd_keeps_its_agent_running() -> Result<()> {
    let site = Site::one_segment("unit", 1)?;
    let (server, vip) = (&site.servers[0], site.vip(Family::V4));
    server.host.serve_dr(vip)?;
    let _web = Nginx::start(&server.host, PORT)?;
    let machine = Systemd::boot(&site.director, &units()?)?;

    let said = machine.lb(&format!("attach {DEVICE}"))?;
    ensure!(
        said.contains("started lb-agent.service") && said.contains("systemctl enable lb-agent"),
        "{said}"
    );
    machine.lb(&format!("service add web {}/tcp", socket(vip, PORT)))?;
    machine.lb(&format!("server add web {} --method dr", server.address(Family::V4)))?;
    let mut connection = http::Connection::open(&site.client, socket(vip, PORT))?;
    let mut answers = || -> Result<()> {
        connection.get("/")?;
        http::get(&site.client, socket(vip, PORT), "/").map(drop)
    };
    answers()?;
    let first = agent_of_the_unit(&machine)?;
    let sets = machine.run(&["grep", "-E", "^Cap(Prm|Eff|Bnd):", &format!("/proc/{first}/status")])?;
    assert_eq!(sets.matches("000000c000003000").count(), 3, "{sets}");

    machine.run(&["kill", "-9", &first])?;
    answers()?;
    wait_until(Duration::from_secs(20), "systemd to start the agent again", || {
        agent_of_the_unit(&machine).is_ok_and(|pid| pid != first)
    })?;
    answers()?;

    machine.run(&["systemctl", "stop", AGENT])?;
    let status = machine.lb("status")?;
    ensure!(status.contains("forwarding, not supervised"), "{status}");
    answers()?;

    let said = machine.lb(&format!("attach {DEVICE} --debug-log"))?;
    ensure!(said.contains("started the agent: pid"), "options that the unit has not: {said}");
    machine.run(&["systemctl", "start", AGENT])?;
    agent_of_the_unit(&machine).context("the unit takes over")?;
    answers()?;

    machine.run(&["systemctl", "stop", AGENT])?;
    machine.run(&["chown", "1", "/var/lib/lb/store.json"])?;
    let error = machine.lb(&format!("attach {DEVICE}")).map_err(|error| error.to_string());
    let told = error.as_ref().is_err_and(|error| error.contains("store.json is not safe: it belongs to"));
    ensure!(told, "the unit's error is not told: {error:?}");
    assert_eq!(machine.property(AGENT, "ActiveState")?, "inactive");
    answers()
}

#[test]
fn an_attach_that_fails_leaves_the_unit_stopped_and_no_pins() -> Result<()> {
    let lab = Lab::new("vain-unit")?;
    let host = lab.host("host")?;
    host.ip("link add name br0 type bridge")?;
    let machine = Systemd::boot(&host, &units()?)?;
    for (line, word) in [("attach br0 --mode native", "native"), ("attach eth9", "no such interface")] {
        let error = machine.lb(line).map_err(|error| error.to_string());
        ensure!(error.as_ref().is_err_and(|error| error.contains(word)), "{line}: {error:?}");
        assert_eq!(machine.property(AGENT, "ActiveState")?, "inactive", "{line}");
        assert_eq!(
            machine.run(&["ls", "/sys/fs/bpf"])?.replace("maps.debug\nprogs.debug\n", ""),
            "",
            "{line}"
        );
    }
    Ok(())
}

/// By membership: the unit has no right to give files away.
#[test]
fn a_group_gets_the_socket_of_the_unit_by_a_drop_in() -> Result<()> {
    let lab = Lab::new("group")?;
    let host = lab.host("host")?;
    let machine = Systemd::boot(&host, &units()?)?;
    let place = format!("/etc/systemd/system/{AGENT}.d");
    let lines = "[Service]\\nSupplementaryGroups=admins\\nEnvironment=LB_SOCKET_GROUP=admins\\n";
    machine.run(&["mkdir", &place])?;
    machine.run(&["sh", "-c", &format!("printf '{lines}' >{place}/group.conf")])?;
    machine.run(&["systemctl", "daemon-reload"])?;
    machine.run(&["systemctl", "start", AGENT])?;
    assert_eq!(machine.run(&["stat", "-c", "%U %G %a", "/run/lb/agent.sock"])?.trim(), "root admins 660");
    agent_of_the_unit(&machine).map(drop)
}

/// The process id of the unit's agent, which answers.
fn agent_of_the_unit(machine: &Systemd<'_>) -> Result<String> {
    let pid = machine.property(AGENT, "MainPID")?;
    let status: Value = serde_json::from_str(&machine.lb("status --json")?)?;
    let answers = status.pointer("/agent/pid").map(Value::to_string);
    ensure!(answers.as_ref() == Some(&pid), "{pid} is the unit's, and {answers:?} answers");
    Ok(pid)
}

fn units() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("there is no workspace")?;
    Ok(root.join("dist"))
}
