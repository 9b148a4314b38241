//! The agent is killed (-9) while it works: afterwards its configuration is the one before or after the change under way,
//! the kernel is equal to it, connections run on, and nothing is left over.

mod download;
mod faults;
mod script;
mod state;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::full;
use lb_tests::lab::site::{DEVICE, Family, Site};
use lb_tests::lab::{ChildGuard, http, wait_until};
use lb_tests::random::Random;
use serde_json::Value;

use crate::support::{
    Balanced,
    Method::{Dr, Ipip, Nat},
    PORT, socket,
};
use download::Download;
use script::Script;
use state::State;

/// Longest time until an agent answers.
const START: Duration = Duration::from_secs(20);
/// A device of the director that the script attaches and detaches.
const SPARE: &str = "spare";

/// A site whose operator goes through a script again and again, whatever happens to the agent.
pub(crate) struct Operated {
    pub(crate) balanced: Balanced,
    script: Script,
    /// The next step of the script.
    at: usize,
    /// The revision that the last confirmed change made.
    revision: u64,
    agent: Option<ChildGuard>,
    agents: u32,
}

impl Operated {
    /// A dr, a nat and an ipip server behind `web`, another dr server, and a service `load` that no step touches.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let site = Site::routed(name, 3, 1)?;
        site.director.ip(&format!("link add {SPARE} type veth peer name far"))?;
        site.director.ip(&format!("link set dev {SPARE} up"))?;
        let balanced = Balanced::new(site, &[Dr, Nat, Dr, Ipip])?;
        balanced.add_service("web", Family::V4, "wrr")?;
        for index in [0, 1, 3] {
            balanced.add_server("web", index, Family::V4, 1)?;
        }
        balanced.lb(&format!("service add load {}:{PORT}/tcp", script::LOAD_VIP))?;
        balanced.add_server("load", 1, Family::V4, 1)?;
        balanced.lb("limits set --connections 80000")?;
        let script = Script::learn(&balanced)?;
        let revision = state::revision(&balanced)?;
        Ok(Self { balanced, script, at: 0, revision, agent: None, agents: 0 })
    }

    /// Starts an agent where none runs, with this fault; `false` if it ends before it answers.
    fn start(&mut self, fault: &str) -> Result<bool> {
        if self.balanced.agent().is_ok() {
            return Ok(true);
        }
        self.agents += 1;
        let binary = lb_tests::lab::lb_ctl::binary()?.to_string_lossy().into_owned();
        let argv = ["env", &format!("LB_FAULT={fault}"), &binary, "agent"];
        let name = format!("agent-{}", self.agents);
        let mut agent = self.balanced.site.director.spawn(&name, &argv)?;
        let mut answers = false;
        let is_there = || {
            answers = self.balanced.agent().is_ok();
            answers || !agent.is_running()
        };
        wait_until(START, "an agent that answers or ends", is_there)?;
        self.agent = Some(agent);
        Ok(answers)
    }

    /// Kills the agent, whoever started it.
    fn kill(&mut self) -> Result<()> {
        if self.balanced.agent().is_ok() {
            self.balanced.kill_agent()?;
        }
        self.agent = None;
        Ok(())
    }

    /// Types the next command; `false` if the agent died over it.
    fn step(&mut self) -> Result<bool> {
        let step = &self.script.steps[self.at];
        let output = self.balanced.site.director.lb_ctl_output(&step.split(' ').collect::<Vec<_>>())?;
        if output.status.success() {
            self.revision += self.script.revisions[self.at];
            self.at = (self.at + 1) % self.script.steps.len();
            return Ok(true);
        }
        let is_dead = || self.balanced.agent().is_err();
        let dies = wait_until(Duration::from_secs(3), "the agent to die", is_dead);
        dies.with_context(|| format!("`{step}`: {}", String::from_utf8_lossy(&output.stderr)))?;
        Ok(false)
    }

    /// Starts an agent that lives, and looks at what the dead one left.
    fn recover(&mut self) -> Result<()> {
        ensure!(self.start("")?, "an agent without a fault ended: {:?}", self.agent);
        let found = State::of(&self.balanced)?;
        let next = (self.at + 1) % self.script.steps.len();
        let revision = state::revision(&self.balanced)?;
        if self.script.states[self.at].says_the_same(&found) && revision == self.revision {
            // The change was not made.
        } else if self.script.states[next].says_the_same(&found) {
            self.revision += self.script.revisions[self.at];
            self.at = next;
        }
        let wanted = &self.script.states[self.at];
        let step = &self.script.steps[self.at];
        ensure!(wanted.says_the_same(&found), "before `{step}`:\n{}", wanted.compare(&found));
        ensure!(revision == self.revision, "revision {revision} and not {} before `{step}`", self.revision);
        let settled = || {
            self.balanced.lb_json("diff").is_ok_and(|diff| is_empty(&diff))
                && State::of(&self.balanced).is_ok_and(|found| found == *wanted)
        };
        wait_until(Duration::from_secs(8), "the kernel to be as the store", settled).with_context(|| {
            let found = State::of(&self.balanced).map(|found| wanted.compare(&found));
            format!("before `{step}`: {:?}\n{}", self.balanced.lb("diff"), found.unwrap_or_default())
        })
    }

    /// Goes on with the script to its end, where everything is as at the beginning.
    fn finish(&mut self) -> Result<()> {
        while self.at != 0 {
            ensure!(self.step()?, "an agent without a fault died");
        }
        Ok(())
    }
}

/// Whether `lb-ctl diff --json` tells of no difference.
fn is_empty(diff: &Value) -> bool {
    diff.as_array().is_some_and(Vec::is_empty)
}

#[expect(clippy::print_stdout, reason = "a failure must be repeatable")]
fn survive(kills: u32) -> Result<()> {
    let mut operated = Operated::new("crash")?;
    let mut random = Random::new();
    println!("{}", random.how_to_repeat());
    let downloads = Download::start_by_each(&operated.balanced, ["web1", "web2", "web4"])?;
    for number in 0..kills {
        let step = operated.script.steps[operated.at].clone();
        kill_at_random(&mut operated, &mut random)
            .and_then(|()| operated.recover())
            .with_context(|| format!("kill {number}, after `{step}`; {}", random.how_to_repeat()))?;
        let reply = http::get(&operated.balanced.site.client, socket(script::load_vip(), PORT), "/");
        ensure!(reply?.server == "web2", "the service that nobody touches was not served");
    }
    operated.finish()?;
    downloads.into_iter().try_for_each(Download::check)
}

/// Types commands until a killer, at a random time, has struck; sometimes while a new agent starts.
fn kill_at_random(operated: &mut Operated, random: &mut Random) -> Result<()> {
    if random.once_in(3) {
        operated.kill()?;
        operated.agents += 1;
        let binary = lb_tests::lab::lb_ctl::binary()?.to_string_lossy().into_owned();
        let name = format!("agent-{}", operated.agents);
        let agent = operated.balanced.site.director.spawn(&name, &[&binary, "agent"])?;
        strike(operated, agent.pid(), random.within(0..700))?.wait(START)?;
        operated.agent = Some(agent);
        return Ok(());
    }
    let pid = u32::try_from(operated.balanced.agent()?)?;
    let mut killer = strike(operated, pid, random.within(0..600))?;
    while killer.is_running() && operated.step()? {}
    killer.wait(START).map(drop)
}

fn strike(operated: &Operated, pid: u32, after_ms: u32) -> Result<ChildGuard> {
    let line = format!("sleep {}.{:03}; kill -9 {pid}", after_ms / 1_000, after_ms % 1_000);
    operated.balanced.site.director.spawn("killer", &["sh", "-c", &line])
}

#[test]
fn a_few_kills_under_load_lose_nothing() -> Result<()> {
    survive(8)
}

#[test]
fn a_hundred_kills_under_load_lose_nothing() -> Result<()> {
    if full::is_asked_for("100 kills under load")? { survive(100) } else { Ok(()) }
}

/// Kills at every `stride`-th point of starting an agent and of the script, from the `first` on.
fn die_at_every_point(name: &str, first: usize, stride: usize) -> Result<()> {
    let mut operated = Operated::new(name)?;
    for (died, point) in (first..).step_by(stride).enumerate() {
        operated.kill()?;
        let mut lives = operated.start(&format!("kill:{point}"))?;
        let mut steps = 0;
        while lives && steps < operated.script.steps.len() {
            lives = operated.step()?;
            steps += 1;
        }
        if lives && operated.agent.as_mut().is_some_and(ChildGuard::is_running) {
            ensure!(died >= 200 / stride, "only {died} kills");
            return Ok(());
        }
        operated.recover().and_then(|()| operated.finish()).with_context(|| format!("kill:{point}"))?;
    }
    Ok(())
}

#[test]
fn a_death_at_some_points_loses_nothing() -> Result<()> {
    die_at_every_point("points", 1 + Random::new().within(0..47) as usize, 47)
}

#[test]
fn a_death_at_any_point_loses_nothing() -> Result<()> {
    if full::is_asked_for("a kill before and after every write")? {
        die_at_every_point("points", 1, 1)
    } else {
        Ok(())
    }
}

/// Everything that an interface needs is told by the name of the first.
#[test]
fn the_script_passes_points_of_every_kind() -> Result<()> {
    let mut operated = Operated::new("kinds")?;
    operated.kill()?;
    let file = operated.balanced.site.director.directory().join("points");
    ensure!(operated.start(&format!("count:{}", file.display()))?, "the agent ended");
    for _ in 0..operated.script.steps.len() {
        ensure!(operated.step()?, "the agent died");
    }
    let points = std::fs::read_to_string(file)?;
    for what in [
        "a new file of the store",
        "a file of the store",
        "the directory of the store",
        "the pinned maps",
        "an element of a map",
        "a map without an element",
        "a server",
        "a word of a server",
        "slots",
        "a view",
        "a service",
        "the program of a link",
        "a new link",
        "a pin",
        "an interface without its link",
        "a removed pin",
        "a renamed pin",
        "a directory of pins",
        "a removed directory of pins",
        "a new address",
        "a removed address",
    ] {
        for side in ["before", "after"] {
            ensure!(
                points.lines().any(|line| line == format!("{side} {what}")),
                "no {side} {what}:\n{points}"
            );
        }
    }
    ensure!(DEVICE != SPARE && !points.contains("no pins"), "an agent unpins nothing");
    Ok(())
}
