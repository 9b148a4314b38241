//! The built program against that of another object, in one run: rounds of both in turn, and the differences of pairs.
//!
//! Where its tables lie in memory moves a program by more than the clock errs. So each row is loaded several times, and
//! with each load the built program twice: what these two differ by is the noise.

use std::io::{Write as _, stdout};

use anyhow::{Context as _, Result};
use lb_common::scheduler::Scheduler;
use lb_common::server::Method;
use lb_common::verdict::Reason;
use lb_ctl::datapath::Datapath;
use lb_tests::measure::{Summary, row};
use lb_tests::program::Action;
use serde_json::json;

use crate::harness::Harness;
use crate::measure::{Path, ROUNDS, Walk, counts};
use crate::rows::{USUAL, forwarded, name_of, open, sizes};
use crate::site::{Kind, Site, written};

/// How often the tables of a row are made anew.
const LOADS: usize = 5;

/// What is compared.
struct Compared {
    name: String,
    site: Site,
    kind: Kind,
    flows: u32,
    action: Action,
    reason: Reason,
}

impl Compared {
    /// The built program, or that of `object`, with the tables of the row.
    fn load(&self, object: Option<&[u8]>) -> Result<Datapath> {
        let sizes = sizes(self.site, self.flows);
        let entries = if self.kind == Kind::First { USUAL.as_slice() } else { sizes.as_slice() };
        let datapath = match object {
            Some(object) => Datapath::open_unpinned_from(object, entries)?,
            None => Datapath::open_unpinned_with(entries)?,
        };
        written(datapath, &self.site.tables(0))
    }
}

/// Paths of all kinds: what is not ours, known flows by each method and protocol, answers, new flows.
fn compared() -> Vec<Compared> {
    let site = |scheduler, method, v6, udp| Site { scheduler, method, v6, udp, servers: 8 };
    let known = |site: Site, flows: u32, word: &str| Compared {
        name: format!("{}-{word}", name_of(site)),
        site,
        kind: Kind::Later,
        flows,
        action: Action::Tx,
        reason: forwarded(site.method),
    };
    let base = site(Scheduler::Mh, Method::Dr, false, false);
    let nat = site(Scheduler::Mh, Method::Nat, false, false);
    let tracked = site(Scheduler::Wrr, Method::Dr, false, false);
    let (pass, reply, new) = ("pass-v4-tcp", "nat-reply-v4-tcp-1", "new-v4-tcp");
    let other = |name: &str, site, kind, flows, action, reason| Compared {
        name: name.to_owned(),
        site,
        kind,
        flows,
        action,
        reason,
    };
    vec![
        other(pass, base, Kind::NotOurs, 1, Action::Pass, Reason::NotAService),
        known(base, 1, "1"),
        known(base, 1 << 16, "64k"),
        known(base, 1 << 20, "1M"),
        known(site(Scheduler::Mh, Method::Dr, true, false), 1, "1"),
        known(site(Scheduler::Mh, Method::Dr, false, true), 1, "1"),
        known(site(Scheduler::Sh, Method::Dr, false, false), 1, "1"),
        known(tracked, 1, "1"),
        known(nat, 1, "1"),
        other(reply, Site { servers: 1, ..nat }, Kind::Reply, 1, Action::Tx, Reason::RepliedNat),
        known(site(Scheduler::Mh, Method::Ipip, false, false), 1, "1"),
        known(site(Scheduler::Mh, Method::Ipip, true, false), 1, "1"),
        other(new, tracked, Kind::First, 1 << 24, Action::Tx, Reason::ForwardedDr),
    ]
}

/// Compares the built program with that of `object`, and writes a line of JSON for each row that is wanted.
pub(crate) fn rows(harness: &mut Harness, object: &[u8], wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    for compared in compared().into_iter().filter(|compared| wanted(&compared.name)) {
        let loads: Vec<Load> =
            (0..LOADS).map(|load| Load::measure(harness, &compared, object, load)).collect::<Result<_>>()?;
        writeln!(stdout(), "{}", line(&compared.name, &loads)?).context("cannot write a row")?;
    }
    Ok(())
}

/// The place of the other program among the three.
const OTHER: usize = 2;

/// Nanoseconds a packet of each round: of the built program, of it again, of the other one.
struct Load([Vec<f64>; 3]);

impl Load {
    /// The three are loaded in another order each time: what is loaded last gets other memory.
    fn measure(harness: &mut Harness, compared: &Compared, object: &[u8], load: usize) -> Result<Self> {
        let Compared { name, site, kind, flows, action, reason } = compared;
        let (packets, expected) = (site.packets(*kind, *flows), site.expected(*kind));
        let path = Path { packets: &packets, expected: &expected, action: *action, reason: *reason };
        let mut which = [0, 1, OTHER];
        which.rotate_left(load % 3);
        let mut programs = Vec::new();
        for which in which {
            let datapath = compared.load((which == OTHER).then_some(object))?;
            harness.take(&datapath)?;
            if matches!(kind, Kind::Later | Kind::Reply) {
                open(harness, *site, 0..*flows)?;
            }
            let before = counts(&datapath)?;
            programs.push((which, Walk::begin(harness, name, path)?, datapath, before));
        }
        programs.sort_by_key(|(which, ..)| *which);
        let mut rounds = [const { Vec::new() }; 3];
        for round in 0..ROUNDS {
            let mut order: Vec<_> = programs.iter_mut().zip(&mut rounds).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for ((_, walk, datapath, _), rounds) in order {
                harness.take(datapath)?;
                rounds.push(walk.round(harness)?);
            }
        }
        for (_, walk, datapath, before) in programs {
            walk.check(name, before, counts(&datapath)?)?;
        }
        Ok(Self(rounds))
    }

    /// How much the built program takes more than the other one, in each pair of rounds.
    fn differences(&self) -> impl Iterator<Item = f64> {
        let [built, _, other] = &self.0;
        built.iter().zip(other).map(|(built, other)| built - other)
    }

    /// The middle one of them.
    fn difference(&self) -> Result<f64> {
        middle(self.differences().collect())
    }

    /// How much the built program takes more than itself.
    fn noise(&self) -> Result<f64> {
        let [built, again, _] = &self.0;
        middle(built.iter().zip(again).map(|(built, again)| built - again).collect())
    }
}

/// A row, with what was compared beside the difference.
fn line(name: &str, loads: &[Load]) -> Result<serde_json::Value> {
    let all = |which: fn(&Load) -> &Vec<f64>| middle(loads.iter().flat_map(which).copied().collect());
    let differences: Vec<f64> = loads.iter().flat_map(Load::differences).collect();
    let [low, high] = quartiles(differences.clone());
    let Summary { median, min, max, runs } = row(name, "ns", differences)?.summary;
    let medians: Vec<f64> = loads.iter().map(Load::difference).collect::<Result<_>>()?;
    let noises: Vec<f64> = loads.iter().map(Load::noise).collect::<Result<_>>()?;
    let noise = noises.into_iter().map(f64::abs).fold(0.0, f64::max);
    Ok(json!({
        "row": name, "unit": "ns", "median": median, "min": min, "max": max, "runs": runs,
        "built": all(|Load([built, ..])| built)?, "other": all(|Load([.., other])| other)?,
        "low": low, "high": high, "noise": noise, "beyond_noise": is_beyond(median, &medians, noise),
    }))
}

/// Whether a difference is none of chance: larger than what the same program differs by, and of one sign in every load.
fn is_beyond(median: f64, of_loads: &[f64], noise: f64) -> bool {
    let one_sign = of_loads.iter().all(|of_load| of_load.is_sign_positive() == median.is_sign_positive());
    one_sign && median.abs() > noise
}

/// Half of the values lie between these.
fn quartiles(mut values: Vec<f64>) -> [Option<f64>; 2] {
    values.sort_by(f64::total_cmp);
    [1, 3].map(|quarter| values.get(values.len() * quarter / 4).copied())
}

fn middle(values: Vec<f64>) -> Result<f64> {
    Ok(row("a difference", "ns", values)?.summary.median)
}
