//! Outer sources of tunnels: a prefix of them, one for each flow.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use lb_tests::lab::site::{Family, Site};
use lb_tests::lab::{ChildGuard, wait_until};

use crate::support::{Balanced, Method::Ipip};

const DEADLINE: Duration = Duration::from_secs(20);
const PREFIX: &str = "10.9.8.0/24";

#[test]
fn each_flow_has_an_outer_source_of_its_own_from_the_prefix() -> Result<()> {
    let balanced = Balanced::new(Site::routed("sources", 0, 1)?, &[Ipip])?;
    balanced.serve(Family::V4, "rr", &[1])?;
    let director = &balanced.site.director;
    let file = director.directory().join("sources.toml");
    let exported = director.lb("export")?;
    fs::write(&file, format!("tunnel-source = \"{PREFIX}\"\n{exported}"))?;
    let apply = ["apply", &file.to_string_lossy()];

    let refused = director.lb_ctl_output(&apply)?;
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    let route = format!("ip route add local {PREFIX} dev lo");
    assert!(told.contains("10.9.8.0 is not local here") && told.contains(&route), "{told}");

    director.ip(&format!("route add local {PREFIX} dev lo"))?;
    director.lb_ctl(&apply)?;
    assert!(director.lb("export")?.contains(&format!("tunnel-source = [\"{PREFIX}\"]")));
    let router = balanced.site.router.as_ref().context("the site has no router")?;
    let filter = "ip proto 4";
    let tcpdump = router.spawn("tcpdump", &["tcpdump", "-nl", "--immediate-mode", "-i", "remote", filter])?;
    wait_until(DEADLINE, "tcpdump to listen", || tcpdump.log().is_ok_and(|log| log.contains("listening")))?;
    assert_eq!(balanced.shares(Family::V4, 16)?.into_values().sum::<usize>(), 16);
    wait_until(DEADLINE, "several outer sources", || outer_sources(&tcpdump).is_ok_and(|all| all.len() > 4))?;
    let strangers: Vec<_> =
        outer_sources(&tcpdump)?.into_iter().filter(|source| !source.starts_with("10.9.8.")).collect();
    assert!(strangers.is_empty(), "{strangers:?}");

    director.ip(&format!("route del local {PREFIX} dev lo"))?;
    let warns =
        || director.lb("status --json").is_ok_and(|status| status.contains("10.9.8.0 is not local here"));
    wait_until(DEADLINE, "a warning that the prefix is lost", warns)
}

/// The sources in lines like `12:00:00.000000 IP 10.9.8.37 > 10.2.0.11: IP 10.1.0.100.40000 > ...`.
fn outer_sources(tcpdump: &ChildGuard) -> Result<BTreeSet<String>> {
    let log = tcpdump.log()?;
    let source = |line: &str| Some(line.split_once(" IP ")?.1.split_once(" > ")?.0.to_owned());
    Ok(log.lines().filter(|line| line.contains(": IP ")).filter_map(source).collect())
}
