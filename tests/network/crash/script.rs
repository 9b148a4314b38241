//! What the operator types, over and over: after the last step everything is as before the first.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use lb_tests::lab::site::Family;

use super::SPARE;
use super::state::{self, State};
use crate::support::{Balanced, PORT};

/// The VIP of a service that nobody touches.
pub(super) const LOAD_VIP: &str = "10.0.0.30";
/// The VIP of a service that comes and goes.
const OTHER_VIP: &str = "10.0.0.20";

pub(super) fn load_vip() -> IpAddr {
    LOAD_VIP.parse().unwrap_or(IpAddr::from([0; 4]))
}

/// Commands, and what is so before each of them.
pub(super) struct Script {
    pub(super) steps: Vec<String>,
    pub(super) states: Vec<State>,
    /// How many revisions each step makes.
    pub(super) revisions: Vec<u64>,
}

impl Script {
    /// Types all of it once, and notes what is so before each step.
    pub(super) fn learn(balanced: &Balanced) -> Result<Self> {
        let steps = steps(balanced)?;
        let (mut states, mut revisions) = (Vec::new(), Vec::new());
        for step in &steps {
            states.push(State::of(balanced)?);
            let before = state::revision(balanced)?;
            balanced.lb(step)?;
            revisions.push(state::revision(balanced)? - before);
        }
        let end = State::of(balanced)?;
        let begin = states.first().context("no steps")?;
        ensure!(*begin == end, "the script does not end where it begins:\n{}", begin.compare(&end));
        Ok(Self { steps, states, revisions })
    }
}

fn steps(balanced: &Balanced) -> Result<Vec<String>> {
    let director = &balanced.site.director;
    let address = |index: usize| balanced.site.servers[index].address(Family::V4);
    let (first, third) = (address(0), address(2));
    let base = director.directory().join("base.toml");
    std::fs::write(&base, director.lb("export")?)?;
    let base = base.display();
    Ok(vec![
        format!("server add web {third} --name web3 --method dr"),
        "server set web web3 --weight 3".to_owned(),
        "server drain web web3".to_owned(),
        format!("service add other {OTHER_VIP}:{PORT}/tcp"),
        format!("server add other {first} --name web1 --method dr"),
        "limits set --connections 60000 --yes".to_owned(),
        format!("attach {SPARE}"),
        "server undrain web web3".to_owned(),
        "service set other --scheduler sh".to_owned(),
        format!("detach {SPARE}"),
        "server remove other web1 --yes".to_owned(),
        "service remove other --yes".to_owned(),
        format!("attach {SPARE} --mode generic"),
        format!("apply {base} --yes --now"),
    ])
}
