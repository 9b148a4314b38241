//! Bad input: one clear error each, and nothing changed.

use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lb_tests::lab::site::{Family, Site};

use crate::support::{
    Balanced,
    Method::{Dr, Ipip},
};

/// A name, what is typed, and what the error has to say.
type Row = (&'static str, &'static str, &'static [&'static str]);

const COMMANDS: &[Row] = &[
    ("unknown interface", "attach eth9", &["eth9"]),
    ("no native support", "attach br0 --mode native", &["br0", "native", "generic"]),
    ("a VIP that is not an address", "service add x 300.0.0.1:80/tcp", &["300.0.0.1"]),
    ("port 0", "service add x 10.0.0.10:0/tcp", &["0"]),
    ("port 70000", "service add x 10.0.0.10:70000/tcp", &["70000"]),
    ("an unknown protocol", "service add x 10.0.0.10:80/sctp", &["sctp"]),
    ("an unknown scheduler", "service add x 10.0.0.10:81/tcp --scheduler fastest", &["fastest"]),
    ("a duplicate name", "service add web 10.0.0.10:81/tcp", &["web"]),
    ("a duplicate address", "service add other 10.0.0.10:80/tcp", &["10.0.0.10", "web"]),
    ("dr with a port", "server add web 10.0.0.12:8080 --method dr", &["dr", "port"]),
    ("ipip with a port", "server add web 10.0.0.12:8080 --method ipip", &["ipip", "port"]),
    ("dr to a server behind a router", "server add web 10.0.2.12 --method dr", &["10.0.2.12", "dr", "ipip"]),
    ("dr across families", "server add web fd00::12 --method dr", &["fd00::12"]),
    ("nat across families", "server add web fd00::12 --method nat", &["fd00::12"]),
    ("an unknown pool", "server add nothing 10.0.0.12", &["nothing"]),
    ("an unknown server", "server remove web nobody", &["nobody"]),
    ("an unknown service", "service remove nothing", &["nothing"]),
    ("a weight above the range", "server add web 10.0.0.12 --weight 70000", &["70000"]),
    ("a weight below the range", "server set web web1 --weight=-1", &["-1"]),
    ("a duplicate server", "server add web 10.0.0.11 --name web1 --method nat", &["web1"]),
    ("a missing file", "apply /nonexistent.toml", &["/nonexistent.toml"]),
    ("a missing socket", "--socket /nonexistent/agent.sock service list", &["/nonexistent/agent.sock"]),
    ("the loopback interface", "attach lo", &["lo", "not an Ethernet interface"]),
    ("connections of an unknown service", "connections --service nope", &["nope", "service list"]),
    ("connections of an unknown server", "connections --server nope", &["nope", "server list"]),
    ("any port of the host itself", "service add own 10.0.0.2:any/tcp", &["10.0.0.2", "ssh"]),
    ("a link-local VIP", "service add x [fe80::10]:80/tcp", &["fe80::10", "link-local"]),
    ("a negative weight", "server set web web1 --weight -1", &["-1 is not in 0..=65535"]),
    ("a busy socket", "--state-dir other agent", &["agent.sock"]),
];

#[test]
fn each_mistake_gives_one_error_and_changes_nothing() -> Result<()> {
    let balanced = Balanced::new(Site::routed("refuse", 1, 1)?, &[Dr, Ipip])?;
    let director = &balanced.site.director;
    director.ip("link add name br0 type bridge")?;
    balanced.add_service("web", Family::V4, "wrr")?;
    balanced.add_server("web", 0, Family::V4, 1)?;
    let before = director.lb("export")?;
    let mut wrong = Vec::new();
    for &(name, line, words) in COMMANDS {
        let output = director.lb_ctl_output(&line.split_whitespace().collect::<Vec<_>>())?;
        println!("{line}\n{}", String::from_utf8_lossy(&output.stderr));
        wrong.extend(is_one_error(name, &output, words).err());
        assert_eq!(director.lb("export")?, before, "{name} changed the configuration");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    Ok(())
}

#[test]
fn a_file_with_an_unknown_key_is_refused_with_the_nearest_known_one() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("file", 1)?, &[Dr])?;
    balanced.add_service("web", Family::V4, "wrr")?;
    let director = &balanced.site.director;
    let before = director.lb("export")?;
    let file = director.directory().join("bad.toml");
    std::fs::write(&file, before.replace("scheduler", "sheduler"))?;
    let output = director.lb_ctl_output(&["apply", &file.to_string_lossy()])?;
    is_one_error("an unknown key", &output, &["sheduler", "scheduler"])?;
    assert_eq!(director.lb("export")?, before);
    Ok(())
}

#[test]
fn without_privileges_nothing_is_attached() -> Result<()> {
    let site = Site::one_segment("nobody", 0)?;
    let program = lb_tests::lab::lb_ctl::binary()?;
    let setpriv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];
    let argv: Vec<_> =
        setpriv.into_iter().map(str::to_owned).chain([program.to_string_lossy().into_owned()]).collect();
    let output = site.director.output(&[argv, vec!["attach".to_owned(), "eth0".to_owned()]].concat())?;
    is_one_error("no privileges", &output, &["eth0"])?;
    assert!(!site.director.ip("link show dev eth0")?.contains("xdp"), "attached");
    Ok(())
}

#[test]
fn an_attach_that_fails_leaves_no_agent_and_no_pins() -> Result<()> {
    let site = Site::one_segment("vain", 0)?;
    let director = &site.director;
    director.ip("link add name br0 type bridge")?;
    for (name, line) in [("loopback", "attach lo"), ("no native support", "attach br0 --mode native")] {
        let output = director.lb_ctl_output(&line.split(' ').collect::<Vec<_>>())?;
        is_one_error(name, &output, &["cannot attach"])?;
        let status: serde_json::Value = serde_json::from_str(&director.lb("status --json")?)?;
        ensure!(status["agent"].is_null(), "{name}: an agent is left: {status}");
        ensure!(status["tables"] == serde_json::json!([]), "{name}: pins are left: {status}");
    }
    Ok(())
}

#[test]
fn an_attach_that_fails_leaves_the_agent_that_serves_a_stored_site() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("vainly", 1)?, &[Dr])?;
    balanced.serve(Family::V4, "rr", &[1])?;
    balanced.kill_agent()?;
    let director = &balanced.site.director;
    director.ip("link add name br0 type bridge")?;
    let output = director.lb_ctl_output(&["attach", "br0", "--mode", "native"])?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && told.contains("cannot attach"), "{told}");
    ensure!(told.contains("the agent that was started goes on"), "{told}");
    balanced.agent().context("the agent was stopped")?;
    ensure!(director.ip("link show dev eth0")?.contains("prog/xdp"), "its own interface was detached");
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    Ok(())
}

#[test]
fn two_first_attaches_at_once_share_one_agent() -> Result<()> {
    let site = Site::one_segment("race", 0)?;
    let director = &site.director;
    director.ip("link add name br0 type bridge")?;
    let attach = |name: &'static str| {
        let director = director.clone();
        std::thread::spawn(move || director.lb_ctl_output(&["attach", name]))
    };
    for racer in ["eth0", "br0"].map(attach) {
        let output = racer.join().map_err(|_| anyhow::anyhow!("a racer broke"))??;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let status: serde_json::Value = serde_json::from_str(&director.lb("status --json")?)?;
    ensure!(status["interfaces"].as_array().is_some_and(|all| all.len() == 2), "{status}");
    Ok(())
}

#[test]
fn an_agent_that_hangs_is_told_and_not_waited_for() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("hung", 1)?, &[Dr])?;
    balanced.add_service("web", Family::V4, "wrr")?;
    balanced.add_server("web", 0, Family::V4, 1)?;
    let director = &balanced.site.director;
    let status: serde_json::Value = serde_json::from_str(&director.lb("status --json")?)?;
    let pid = status["agent"]["pid"].to_string();
    director.run(&["kill", "-STOP", &pid])?;
    let began = Instant::now();
    let listed = director.lb_ctl_output(&["list"]);
    let status = director.lb("status");
    let elapsed = began.elapsed();
    director.run(&["kill", "-CONT", &pid])?;
    is_one_error("a hung agent", &listed?, &["no answer within 3s"])?;
    let status = status?;
    ensure!(status.contains(&format!("pid {pid} does not answer")), "{status}");
    ensure!(status.contains("servers: 1 of 1 up"), "{status}");
    ensure!(elapsed < Duration::from_secs(10), "both took {elapsed:?}");
    Ok(())
}

#[test]
fn a_directory_that_is_no_bpffs_is_refused() -> Result<()> {
    let site = Site::one_segment("nobpffs", 0)?;
    let plain = site.director.directory().join("plain");
    std::fs::create_dir(&plain)?;
    let plain = plain.to_string_lossy();
    let output = site.director.lb_ctl_output(&["--bpffs", &plain, "attach", "eth0"])?;
    is_one_error("no bpffs", &output, &["no BPF file system", "mount -t bpf"])?;
    assert!(!site.director.ip("link show dev eth0")?.contains("xdp"), "attached");
    Ok(())
}

pub(crate) fn is_one_error(name: &str, output: &Output, words: &[&str]) -> Result<()> {
    let text = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    ensure!(matches!(code, Some(1 | 2)), "{name}: exit code {code:?}, {text}");
    let errors = text.lines().filter(|line| line.starts_with("error:")).count();
    ensure!(errors == 1, "{name}: {errors} errors: {text}");
    for word in words {
        ensure!(text.contains(word), "{name}: the error does not say {word:?}: {text}");
    }
    Ok(())
}
