//! VIPs on the director's interfaces: who else has one, and what happens when that cannot be stored.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::full;
use lb_tests::lab::site::{DEVICE, Family, INNER_DEVICE, Site};
use lb_tests::lab::{Host, Lab, Port, wait_until};
use serde_json::Value;

use crate::rows;
use crate::support::Balanced;

const SOON: Duration = Duration::from_secs(10);

/// What is asked of a segment: machines that have, or want, the same VIPs.
struct Shared {
    hosts: Vec<Port>,
    _lab: Lab,
}

const VIPS: [&str; 2] = ["10.0.0.10", "fd00::10"];

impl Shared {
    fn new(name: &str, hosts: &[&str]) -> Result<Self> {
        let lab = Lab::new(name)?;
        let segment = lab.segment("switch")?;
        let plug = |(number, name): (usize, &&str)| {
            let addresses = [format!("10.0.0.{}/24", number + 2), format!("fd00::{}/64", number + 2)];
            segment.plug(&lab.host(name)?, DEVICE, &addresses)
        };
        let hosts = hosts.iter().enumerate().map(plug).collect::<Result<_>>()?;
        Ok(Self { hosts, _lab: lab })
    }

    fn host(&self, index: usize) -> &Host {
        &self.hosts[index].host
    }
}

/// A service of each family on this director.
fn serve(director: &Host, mode: &str) -> Result<()> {
    director.lb(&format!("attach {DEVICE} --mode {mode}"))?;
    for vip in VIPS {
        director.lb(&format!("service add {} {}/tcp", service(vip), socket(vip)))?;
    }
    Ok(())
}

fn service(vip: &str) -> &str {
    if vip.contains(':') { "web6" } else { "web4" }
}

fn socket(vip: &str) -> String {
    if vip.contains(':') { format!("[{vip}]:80") } else { format!("{vip}:80") }
}

/// The messages of the warnings about address conflicts.
fn conflicts(director: &Host) -> Result<Vec<String>> {
    let status: Value = serde_json::from_str(&director.lb("status --json")?)?;
    let warnings = status.get("warnings").and_then(Value::as_array).context("no warnings")?;
    let messages = warnings.iter().filter_map(|warning| warning.get("message")?.as_str());
    Ok(messages.filter(|message| message.contains(" is also at ")).map(str::to_owned).collect())
}

fn is_told(director: &Host, vip: &str, other: &Port) -> bool {
    let start = format!("VIP {vip} is also at {} on {DEVICE} (seen ", other.mac_text());
    conflicts(director).is_ok_and(|told| told.iter().any(|message| message.starts_with(&start)))
}

fn wait_told(director: &Host, vip: &str, other: &Port) -> Result<()> {
    let what = format!("{} to tell that {} has {vip}", director.name(), other.host.name());
    let told = wait_until(SOON, &what, || is_told(director, vip, other));
    told.with_context(|| format!("told is {:?}", conflicts(director)))
}

/// The lines of the agent's log with these words.
fn logged(director: &Host, words: &str) -> Result<usize> {
    let log = fs::read_to_string(director.directory().join("state/agent.log"))?;
    Ok(log.lines().filter(|line| line.contains(words)).count())
}

rows! { two_directors_with_one_vip_tell_it_both:
    two_directors_in_native_mode => "native";
    two_directors_in_generic_mode => "generic";
}

fn two_directors_with_one_vip_tell_it_both(mode: &str) -> Result<()> {
    let shared = Shared::new("two", &["one", "other"])?;
    let [one, other] = &shared.hosts[..] else { unreachable!() };
    serve(&one.host, mode)?;
    assert_eq!(conflicts(&one.host)?, Vec::<String>::new());
    serve(&other.host, mode)?;
    for vip in VIPS {
        wait_told(&one.host, vip, other)?;
        wait_told(&other.host, vip, one)?;
    }
    for director in [&one.host, &other.host] {
        assert_eq!(conflicts(director)?.len(), VIPS.len());
        assert_eq!(logged(director, "also at ")?, VIPS.len());
        let said = director.lb("status")?;
        assert!(said.contains("arp_ignore, arp_announce"), "{said}");
    }
    one.host.lb("service remove web4 --yes")?;
    let gone = || conflicts(&one.host).is_ok_and(|told| told.len() == 1);
    wait_until(SOON, "what was given up to be forgotten", gone)?;
    assert_eq!(logged(&one.host, " any more")?, 1);
    if full::is_asked_for("an address conflict ends on the director that keeps the VIP")? {
        let gone = || conflicts(&other.host).is_ok_and(|told| told.len() == 1);
        wait_until(Duration::from_mins(3), "the conflict to end", gone)?;
        assert_eq!(logged(&other.host, " any more")?, 1);
        assert!(is_told(&other.host, VIPS[1], one), "the one of IPv6 goes on");
    }
    Ok(())
}

#[test]
fn silent_holders_are_found_and_servers_that_keep_quiet_are_none() -> Result<()> {
    let shared = Shared::new("silent", &["director", "loud", "quiet", "forgotten"])?;
    let [_, loud, quiet, forgotten] = &shared.hosts[..] else { unreachable!() };
    let vips = VIPS.map(str::parse::<IpAddr>);
    for vip in vips {
        quiet.host.hold_vip(vip?)?;
    }
    // A server for `dr` whose ARP switches were forgotten; over IPv6 the address on `lo` is quiet all the same.
    loud.host.add_address("lo", "10.0.0.10/32")?;
    forgotten.add_address("fd00::10/128")?;
    let director = shared.host(0);
    serve(director, "auto")?;
    wait_told(director, VIPS[0], loud)?;
    wait_told(director, VIPS[1], forgotten)?;
    let told = conflicts(director)?;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(!told.iter().any(|message| message.contains(&quiet.mac_text())), "{told:?}");
    Ok(())
}

#[test]
fn a_director_with_two_cards_on_one_segment_has_no_conflict_with_itself() -> Result<()> {
    let lab = Lab::new("self")?;
    let segment = lab.segment("switch")?;
    let director = lab.host("director")?;
    segment.plug(&director, DEVICE, &["10.0.0.2/24", "fd00::2/64"])?;
    segment.plug(&director, INNER_DEVICE, &["10.0.0.3/24", "fd00::3/64"])?;
    let witness = segment.plug(&lab.host("witness")?, DEVICE, &["10.0.0.4/24", "fd00::4/64"])?;
    for vip in VIPS {
        witness.add_address(&format!("{vip}/{}", if vip.contains(':') { 128 } else { 32 }))?;
    }
    serve(&director, "auto")?;
    // The second card answers the same questions as the witness.
    VIPS.iter().try_for_each(|vip| wait_told(&director, vip, &witness))?;
    assert_eq!(conflicts(&director)?.len(), VIPS.len());
    assert_eq!(logged(&director, "also at ")?, VIPS.len());
    Ok(())
}

#[test]
fn a_vip_whose_place_cannot_be_stored_is_not_put_on() -> Result<()> {
    let balanced = Balanced::new(Site::two_arms("unstored", 0)?, &[])?;
    let director = &balanced.site.director;
    balanced.add_service("web", Family::V4, "rr")?;
    let vip = balanced.site.vip(Family::V4);
    let has = |device: &str| {
        director
            .ip(&format!("address show dev {device}"))
            .is_ok_and(|text| text.contains(&format!("{vip}/32")))
    };
    wait_until(SOON, "the VIP", || has(DEVICE))?;
    let obstacle = director.directory().join("state/store.json.new");
    fs::create_dir(&obstacle)?;
    director.ip(&format!("link delete dev {DEVICE}"))?;
    let told = || {
        balanced
            .lb_json("status")
            .is_ok_and(|status| status.to_string().contains("cannot store where the VIPs are"))
    };
    wait_until(SOON, "the failure to be told", told)?;
    ensure!(!has(INNER_DEVICE), "put on without a record");
    fs::remove_dir(&obstacle)?;
    wait_until(SOON, "the VIP on the other interface", || has(INNER_DEVICE))?;
    wait_until(SOON, "the warning to go", || !told())?;
    let stored: Value = serde_json::from_slice(&fs::read(director.directory().join("state/store.json"))?)?;
    let place = stored.pointer(&format!("/placed/{vip}"));
    assert_eq!(place.and_then(Value::as_str), Some(INNER_DEVICE), "{stored}");
    Ok(())
}
