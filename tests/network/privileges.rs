//! What the agent may do, and whose its places are.

use std::fs;
use std::os::unix::fs::chown;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::lab::site::{DEVICE, Family, Site};
use lb_tests::lab::{ChildGuard, Host, wait_until};

use crate::refusals::is_one_error;
use crate::rows;
use crate::support::{
    Balanced,
    Method::{Dr, Ipip, Nat},
};

const NOBODY: u32 = 65534;
const ROOT: u32 = 0;
/// Name, as setpriv has it, and the bit of `linux/capability.h`.
const NEEDED: [(&str, u32); 4] = [("net_admin", 12), ("net_raw", 13), ("perfmon", 38), ("bpf", 39)];

/// How the agent is started: as whom, and with which capabilities; with all of root's where there is no list.
type As = (u32, Option<&'static [(&'static str, u32)]>);

rows! { an_agent_does_all_of_its_work_with_the_needed_capabilities_and_has_no_other:
    root_gives_up_the_others => (ROOT, None);
    root_with_exactly_those => (ROOT, Some(&NEEDED));
    an_ordinary_user_with_exactly_those => (NOBODY, Some(&NEEDED));
}

fn an_agent_does_all_of_its_work_with_the_needed_capabilities_and_has_no_other(user: As) -> Result<()> {
    let site = Site::routed("least", 3, 0)?;
    let (director, vip) = (site.director.clone(), site.vip(Family::V4));
    give(&director, user.0)?;
    let first = start(&director, user)?;
    has_the_needed_sets(first.pid())?;
    director.lb(&format!("attach {DEVICE}"))?;
    let balanced = Balanced::attached(site, &[Dr, Nat, Ipip])?;
    // An announcement changes an entry that is there, and makes none.
    let asks = balanced.site.router.as_ref().context("the site has a router")?;
    let device = asks.ip(&format!("route get {vip}"))?;
    let device =
        device.split_whitespace().skip_while(|word| *word != "dev").nth(1).context("no way to the VIP")?;
    asks.ip(&format!("neighbour replace {vip} lladdr 02:00:00:00:00:99 nud stale dev {device}"))?;
    balanced.serve(Family::V4, "rr", &[1, 1, 1])?;
    ensure!(director.ip("address show")?.contains(&format!("{vip}/32")), "the VIP is on no interface");
    wait_until(Duration::from_secs(5), "the announcement of the VIP", || {
        asks.ip(&format!("neighbour show {vip}")).is_ok_and(|entry| !entry.contains("02:00:00:00:00:99"))
    })?;
    assert_eq!(balanced.shares(Family::V4, 9)?.into_values().collect::<Vec<_>>(), [3, 3, 3]);
    director.run(&["kill", "-9", &first.pid().to_string()])?;
    assert_eq!(balanced.shares(Family::V4, 9)?.len(), 3, "without an agent");
    let second = start(&director, user)?;
    has_the_needed_sets(second.pid())?;
    balanced.lb("server remove web web3 --yes")?;
    assert_eq!(balanced.shares(Family::V4, 8)?.len(), 2);
    balanced.lb(&format!("detach {DEVICE} --yes"))
}

#[test]
fn each_capability_that_is_missing_is_named_and_nothing_is_begun() -> Result<()> {
    let site = Site::one_segment("lacks", 0)?;
    let director = &site.director;
    give(director, NOBODY)?;
    for (missing, _) in NEEDED {
        let rest: Vec<_> = NEEDED.into_iter().filter(|(name, _)| *name != missing).collect();
        let output = director.output(&command(director, (NOBODY, Some(&rest)))?)?;
        is_one_error(missing, &output, &[&format!("cap_{missing}").to_uppercase(), "no privileges"])?;
    }
    let output = director.output(&command(director, (NOBODY, Some(&[])))?)?;
    let all = NEEDED.map(|(name, _)| format!("cap_{name}").to_uppercase());
    is_one_error("all", &output, &all.each_ref().map(String::as_str))?;
    ensure!(!director.directory().join("agent.sock").exists(), "there is a socket");
    Ok(())
}

/// A name, what spoils the place, what the error has to say (the command that mends it among it), and what mends it.
type Row = (&'static str, &'static str, &'static [&'static str], &'static str);

const PLACES: &[Row] = &[
    (
        "a state directory of another",
        "chown 1 state",
        &["state", "belongs to", "`chown root"],
        "chown 0 state",
    ),
    ("a state directory for all", "chmod 777 state", &["everybody", "`chmod go-w"], "chmod 750 state"),
    ("a state directory for its group", "chmod g+w state", &["its group", "`chmod go-w"], "chmod g-w state"),
    (
        "a store of another",
        "chown 1 state/store.json",
        &["store.json", "`chown root"],
        "chown 0 state/store.json",
    ),
    (
        "a store for all",
        "chmod o+w state/store.json",
        &["store.json", "`chmod o-w"],
        "chmod o-w state/store.json",
    ),
    (
        "a link in the place of the store",
        "mv state/store.json kept; ln -s ../kept state/store.json",
        &["store.json", "symbolic link"],
        "mv kept state/store.json",
    ),
    ("a pin directory of another", "chown 1 bpf", &["bpf", "belongs to", "`chown root"], "chown 0 bpf"),
    ("a pin directory for all", "chmod 1777 bpf", &["bpf", "everybody", "`chmod go-w"], "chmod 700 bpf"),
    ("a socket directory of another", "chown 1 .", &["director", "belongs to", "`chown root"], "chown 0 ."),
    ("a socket directory for all", "chmod 1777 .", &["director", "everybody", "`chmod go-w"], "chmod 755 ."),
];

#[test]
fn a_place_that_others_may_write_to_is_refused_with_the_command_that_mends_it() -> Result<()> {
    let site = Site::one_segment("places", 0)?;
    let director = &site.director;
    director.lb(&format!("attach {DEVICE}"))?;
    let status: serde_json::Value = serde_json::from_str(&director.lb("status --json")?)?;
    let pid = status["agent"]["pid"].to_string();
    director.run(&["kill", &pid])?;
    wait_until(Duration::from_secs(5), "the agent to end", || {
        !fs::exists(format!("/proc/{pid}")).unwrap_or(false)
    })?;
    let mut wrong = Vec::new();
    for &(name, spoil, words, mend) in PLACES {
        director.run(&["sh", "-c", spoil])?;
        let output = director.output(&["timeout", "20", &lb_ctl()?, "agent"])?;
        wrong.extend(is_one_error(name, &output, words).err());
        director.run(&["sh", "-c", mend])?;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let _agent = start(director, (ROOT, None))?;
    for (path, mode) in
        [("state", "750"), ("state/store.json", "600"), ("agent.sock", "660"), ("bpf/maps", "700")]
    {
        assert_eq!(director.run(&["stat", "-c", "%a %u", path])?.trim(), format!("{mode} 0"), "{path}");
    }
    Ok(())
}

#[test]
fn an_ordinary_user_is_told_which_directory_is_not_his() -> Result<()> {
    let site = Site::one_segment("his", 0)?;
    let director = &site.director;
    give(director, NOBODY)?;
    for (place, option) in [("state", "--state-dir"), ("bpf", "--bpffs"), (".", "--socket")] {
        director.run(&["chown", "0", place])?;
        let output = director.output(&command(director, (NOBODY, Some(&NEEDED)))?)?;
        is_one_error(place, &output, &["cannot write in", "`chown nobody ", option])?;
        director.run(&["chown", &NOBODY.to_string(), place])?;
    }
    Ok(())
}

/// Gives a machine's directory with all that `lb-ctl` keeps there to a user.
fn give(director: &Host, user: u32) -> Result<()> {
    let directory = director.directory();
    fs::create_dir_all(directory.join("state"))?;
    for place in [directory.to_owned(), directory.join("state"), directory.join("bpf")] {
        chown(&place, Some(user), Some(user)).with_context(|| format!("cannot give {}", place.display()))?;
    }
    // The user may not be able to reach the one that was built.
    fs::copy(lb_ctl()?, directory.join("lb-ctl")).context("cannot copy lb-ctl")?;
    Ok(())
}

fn command(director: &Host, (user, capabilities): (u32, Option<&[(&str, u32)]>)) -> Result<Vec<String>> {
    let own = director.directory().join("lb-ctl");
    let program = if own.exists() { own.to_string_lossy().into_owned() } else { lb_ctl()? };
    let agent = vec![program, "agent".to_owned()];
    let Some(capabilities) = capabilities else { return Ok(agent) };
    let sets = ["-all".to_owned()].into_iter().chain(capabilities.iter().map(|(name, _)| format!("+{name}")));
    let sets = sets.collect::<Vec<_>>().join(",");
    let mut argv = vec!["setpriv".to_owned(), format!("--reuid={user}"), format!("--regid={user}")];
    argv.push("--clear-groups".to_owned());
    argv.extend(["inh-caps", "ambient-caps", "bounding-set"].map(|set| format!("--{set}={sets}")));
    Ok([argv, agent].concat())
}

fn start(director: &Host, user: As) -> Result<ChildGuard> {
    let mut agent = director.spawn("agent", &command(director, user)?)?;
    wait_until(Duration::from_secs(20), "the agent", || {
        let pid = format!("\"pid\":{}", agent.pid());
        let status = director.lb("status --json").map(|status| status.replace([' ', '\n'], ""));
        status.is_ok_and(|status| status.contains(&pid)) || !agent.is_running()
    })?;
    ensure!(agent.is_running(), "it ended: {}", agent.log()?);
    Ok(agent)
}

/// Every thread of the process: capabilities belong to threads.
fn has_the_needed_sets(pid: u32) -> Result<()> {
    let needed = format!("{:016x}", NEEDED.iter().fold(0_u64, |set, (_, bit)| set | 1 << bit));
    let none = format!("{:016x}", 0);
    let want =
        [("CapInh", &none), ("CapPrm", &needed), ("CapEff", &needed), ("CapBnd", &needed), ("CapAmb", &none)];
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"));
        for (set, want) in want {
            ensure!(value(set) == Some(want), "{set} is not {want}: {status}");
        }
        ensure!(value("NoNewPrivs") == Some("1"), "{status}");
    }
    Ok(())
}

fn lb_ctl() -> Result<String> {
    Ok(lb_tests::lab::lb_ctl::binary()?.to_string_lossy().into_owned())
}
