//! Ways that cannot work: refused when they are configured, told when they come up later, and what was lost counted.

use std::time::Duration;

use anyhow::{Result, ensure};
use lb_tests::lab::site::{DEVICE, Family, INNER_DEVICE, Site};
use lb_tests::lab::wait_until;

use crate::continuity::lb_ctl;
use crate::rows;
use crate::support::{Balanced, Method::Dr};

/// The agent looks at what has no event every five seconds.
const LOOK: Duration = Duration::from_secs(10);

fn two_arms(name: &str) -> Result<Balanced> {
    let site = Site::two_arms_and_direct_replies(name, 1)?;
    site.director.lb(&format!("attach {DEVICE}"))?;
    let balanced = Balanced::attached(site, &[Dr])?;
    balanced.add_service("web", Family::V4, "rr")?;
    Ok(balanced)
}

fn says(balanced: &Balanced, text: &str) -> bool {
    balanced.site.director.lb("status").is_ok_and(|status| status.contains(text))
}

#[test]
fn an_exit_that_cannot_transmit_is_refused_until_it_can_or_generic_mode_sends() -> Result<()> {
    let balanced = two_arms("exit")?;
    balanced.site.take_redirects(INNER_DEVICE, false)?;
    let error = format!("{:#}", balanced.add_server("web", 0, Family::V4, 1).unwrap_err());
    let reason = format!("{INNER_DEVICE} cannot send what is redirected to it from {DEVICE}");
    ensure!(error.contains(&reason), "{error}");
    let generic = format!("attach {DEVICE} --mode generic");
    ensure!(error.contains(&format!("`lb-ctl {generic}`")), "{error}");
    ensure!(error.contains("gro on"), "{error}");

    balanced.lb(&generic)?;
    balanced.add_server("web", 0, Family::V4, 1)?;
    assert_eq!(balanced.curl(Family::V4)?, "web1", "in generic mode");
    balanced.lb("server remove web web1 --yes")?;

    balanced.site.take_redirects(INNER_DEVICE, true)?;
    balanced.lb(&format!("attach {DEVICE} --mode native"))?;
    balanced.add_server("web", 0, Family::V4, 1)?;
    assert_eq!(balanced.curl(Family::V4)?, "web1", "in native mode");
    Ok(())
}

#[test]
fn an_exit_that_fails_later_is_told_and_what_it_loses_is_counted() -> Result<()> {
    let balanced = two_arms("deaf")?;
    balanced.add_server("web", 0, Family::V4, 1)?;
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    assert_eq!(balanced.packets_of("redirect-failed")?, 0);
    balanced.site.take_redirects(INNER_DEVICE, false)?;
    ensure!(balanced.curl(Family::V4).is_err(), "the other end takes frames");
    wait_until(LOOK, "the reason", || says(&balanced, &format!("redirecting to {INNER_DEVICE} fails: ")))?;
    let reason = format!("{INNER_DEVICE} cannot send what is redirected to it from {DEVICE}");
    wait_until(LOOK, "the warning", || says(&balanced, &reason))?;
    let lost = balanced.packets_of("redirect-failed")?;
    ensure!(lost > 0 && lost <= balanced.packets_of("forwarded-dr")?, "{lost} frames are lost");
    let unsent = balanced.lb_json("stats")?["unsent"].clone();
    ensure!(unsent[0]["interface"] == INNER_DEVICE && unsent[0]["packets"] == lost, "{unsent}");
    ensure!(unsent[1].is_null(), "{unsent}");

    balanced.site.take_redirects(INNER_DEVICE, true)?;
    wait_until(LOOK, "the warning to go", || !says(&balanced, &reason))?;
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    assert_eq!(balanced.packets_of("redirect-failed")?, lost);
    Ok(())
}

rows! { what_is_lost_without_an_agent_is_counted_with_its_reason:
    the_interface_is_down => "lostdown", true, "the interface is down";
    the_other_end_is_down => "lostpeer", false, "its peer takes no frames";
}

/// An agent would follow the route that goes with the interface. The count is there for the next one.
fn what_is_lost_without_an_agent_is_counted_with_its_reason(
    name: &str,
    own: bool,
    reason: &str,
) -> Result<()> {
    let balanced = two_arms(name)?;
    balanced.add_server("web", 0, Family::V4, 1)?;
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    balanced.kill_agent()?;
    let director = &balanced.site.director;
    if own {
        director.ip(&format!("link set dev {INNER_DEVICE} down"))?;
    } else {
        let (switch, port) = balanced.site.other_end(INNER_DEVICE)?;
        switch.ip(&format!("link set dev {port} down"))?;
    }
    ensure!(balanced.curl(Family::V4).is_err(), "it is down");
    let agent = director.spawn("agent", &[&lb_ctl()?, "agent"])?;
    wait_until(Duration::from_secs(20), "the new agent", || balanced.packets_of("redirect-failed").is_ok())?;
    let unsent = balanced.lb_json("stats")?["unsent"].clone();
    ensure!(unsent[0]["reason"] == reason, "{unsent} {}", agent.log()?);
    ensure!(unsent[0]["interface"] == INNER_DEVICE && unsent[1].is_null(), "{unsent}");
    ensure!(!says(&balanced, "redirecting to"), "an old loss is told as if it were new");
    Ok(())
}

#[test]
fn a_dr_server_that_left_the_segment_gets_nothing_until_it_is_back() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("left", 2)?, &[Dr, Dr])?;
    balanced.serve(Family::V4, "rr", &[1, 1])?;
    let (director, server) = (&balanced.site.director, balanced.site.servers[0].address(Family::V4));
    let other = balanced.site.servers[1].address(Family::V4);
    director.ip(&format!("route add {server}/32 via {other}"))?;
    let warning = format!("it is not on-link but behind {other}");
    wait_until(LOOK, "the warning", || says(&balanced, &warning))?;
    assert_eq!(balanced.shares(Family::V4, 4)?.into_iter().collect::<Vec<_>>(), [("web2".to_owned(), 4)]);
    director.ip(&format!("route delete {server}/32 via {other}"))?;
    wait_until(LOOK, "the warning to go", || !says(&balanced, &warning))?;
    assert_eq!(balanced.shares(Family::V4, 4)?.len(), 2);
    Ok(())
}
