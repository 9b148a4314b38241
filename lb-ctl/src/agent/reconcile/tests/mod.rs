//! Every write is applied to a simulated kernel and judged as a packet would see it.

mod anything;
mod damage;
mod keys;
mod machine;
mod tally;
mod twin;
mod untracked;
mod worlds;

use super::{Moment, Pace};
use crate::agent::ids::{Full, Quarantine};
use crate::agent::plan::Plan;
use crate::agent::tables::Tables;
use crate::datapath::tables::{Kernel, Write};
use machine::{Machine, Meets, Target};
use proptest::prelude::*;
use std::collections::BTreeSet;
use worlds::{expected, server, service, tables};

/// As it is done where no slot is held back.
fn reconcile(tables: &Tables, kernel: &Kernel, held: &Quarantine) -> Result<Plan, Full> {
    super::reconcile(tables, kernel, Moment { quarantine: held, pace: Pace::Whole, now: 1_000_000 })
}

/// Applies `plan` write by write. A key that is served before and after is served all the time.
///
/// Except where two services exchange ports in one change: then one of them has to be first.
fn run(machine: &mut Machine, plan: &Plan, wanted: &Tables, held: &Quarantine) -> Result<(), String> {
    let served = |meets: &Meets| meets.1.iter().any(|target| target.state == 1);
    let after: BTreeSet<_> =
        expected(wanted).into_iter().filter(|(_, meets)| served(meets)).map(|(key, _)| key).collect();
    let exchanged = machine.exchanged(&plan.writes);
    let always: BTreeSet<_> =
        machine.served().intersection(&after).filter(|key| !exchanged.contains(key)).copied().collect();
    for write in &plan.writes {
        machine.write(write, held)?;
        if let Some(key) = always.difference(&machine.served()).next() {
            return Err(format!("after {write:?} nothing serves {key:?}"));
        }
    }
    Ok(())
}

fn assert_equal(machine: &Machine, wanted: &Tables) {
    assert_eq!(machine.meets(), expected(wanted));
    let servers = wanted.services.iter().map(|service| service.servers.len()).sum();
    let hosts: BTreeSet<_> = wanted
        .services
        .iter()
        .flat_map(|s| &s.servers)
        .filter(|s| s.method as u8 == 2)
        .map(|s| s.address)
        .collect();
    let (living, nat_hosts, devices, settings) = machine.leftovers();
    assert_eq!((living, nat_hosts, devices), (servers, hosts.len(), wanted.devices.len()));
    assert_eq!((settings.flags, settings.sample_period), (wanted.flags, wanted.sample_period));
}

/// One agent's life: changes one after another, with grace periods and sweeps now and then.
fn live(steps: Vec<(Tables, bool, bool)>) {
    let mut machine = Machine::default();
    let mut held = Quarantine::default();
    for (wanted, grace, sweep) in steps {
        let plan = reconcile(&wanted, &machine.read_back(), &held).unwrap();
        run(&mut machine, &plan, &wanted, &held).unwrap();
        assert_equal(&machine, &wanted);
        held.add(plan.freed);
        let again = reconcile(&wanted, &machine.read_back(), &held).unwrap();
        assert_eq!(again.writes, [], "a second run writes");
        if grace {
            held.grace_passed();
        }
        if sweep {
            held.servers.clear();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn every_step_of_every_change_is_safe_and_the_end_is_what_was_asked(
        steps in prop::collection::vec((worlds::any_tables(), any::<bool>(), any::<bool>()), 1..6),
    ) {
        live(steps);
    }

    #[test]
    fn an_agent_that_is_killed_anywhere_leaves_tables_that_the_next_one_repairs(
        before in worlds::any_tables(),
        during in worlds::any_tables(),
        after in worlds::any_tables(),
        killed_at in any::<prop::sample::Index>(),
    ) {
        let mut machine = Machine::default();
        let fresh = Quarantine::default();
        let plan = reconcile(&before, &machine.read_back(), &fresh).unwrap();
        run(&mut machine, &plan, &before, &fresh).unwrap();
        let held = plan.freed;
        let mut plan = reconcile(&during, &machine.read_back(), &held).unwrap();
        plan.writes.truncate(killed_at.index(plan.writes.len() + 1));
        run(&mut machine, &plan, &during, &held).unwrap();

        let held = Quarantine { servers: machine.gone(), ..Quarantine::default() };
        let plan = reconcile(&after, &machine.read_back(), &held).unwrap();
        run(&mut machine, &plan, &after, &held).unwrap();
        assert_equal(&machine, &after);
    }
}

fn web(servers: Vec<crate::agent::tables::Server>) -> Tables {
    tables(vec![service(1, &[80], servers)])
}

fn start(wanted: &Tables) -> Machine {
    let mut machine = Machine::default();
    let plan = reconcile(wanted, &machine.read_back(), &Quarantine::default()).unwrap();
    run(&mut machine, &plan, wanted, &Quarantine::default()).unwrap();
    machine
}

#[test]
fn a_changed_weight_replaces_the_slots_and_nothing_else() {
    let machine = start(&web(vec![server(1, 1), server(2, 1)]));
    let plan =
        reconcile(&web(vec![server(1, 1), server(2, 3)]), &machine.read_back(), &Quarantine::default())
            .unwrap();
    assert!(
        matches!(plan.writes.as_slice(), [Write::Slots(..), Write::View(..), Write::Service(..)]),
        "{:?}",
        plan.writes
    );
    assert_eq!((plan.freed.views.len(), plan.freed.ranges.len(), plan.freed.servers.len()), (1, 1, 0));
}

#[test]
fn a_new_next_hop_is_one_store() {
    let machine = start(&web(vec![server(1, 1)]));
    let mut moved = server(1, 1);
    moved.next_hop = Some((11, [9; 6]));
    let plan = reconcile(&web(vec![moved]), &machine.read_back(), &Quarantine::default()).unwrap();
    assert!(matches!(plan.writes.as_slice(), [Write::NextHop(..)]), "{:?}", plan.writes);
}

#[test]
fn an_id_of_a_removed_server_waits_and_comes_back_as_another_instance() {
    let both = web(vec![server(1, 1), server(2, 1)]);
    let mut machine = start(&both);
    let one = web(vec![server(2, 1)]);
    let plan = reconcile(&one, &machine.read_back(), &Quarantine::default()).unwrap();
    run(&mut machine, &plan, &one, &Quarantine::default()).unwrap();
    let mut held = plan.freed;
    assert_eq!(held.servers, BTreeSet::from([1]));

    let other = web(vec![server(2, 1), server(3, 1)]);
    let ids = |held: &Quarantine| {
        let plan = reconcile(&other, &machine.read_back(), held).unwrap();
        plan.writes
            .iter()
            .find_map(|w| if let Write::Server(id, s) = w { Some((*id, s.generation)) } else { None })
            .unwrap()
    };
    assert_eq!(ids(&held), (3, 0));
    held.servers.clear();
    assert_eq!(ids(&held), (1, 1));
}

/// The judge itself: a plan in a wrong order must be noticed.
#[test]
fn a_wrong_order_is_noticed() {
    let old = web(vec![server(1, 1)]);
    let new = tables(vec![service(1, &[80, 443], vec![server(2, 1), server(3, 1)])]);
    let machine = start(&old);
    let good = reconcile(&new, &machine.read_back(), &Quarantine::default()).unwrap();
    let is = |name: &str| good.writes.iter().position(|w| format!("{w:?}").starts_with(name)).unwrap();
    let rows = [
        ("a service before its slots", is("Slots("), is("Service(")),
        ("a service before its view", is("View("), is("Service(")),
        ("slots before their servers", is("Server("), is("Service(")),
        ("the word of a key before its view", is("View("), is("Index(")),
        ("a server gone before its slots", is("Service("), is("ServerState(")),
    ];
    run(&mut machine.clone(), &good, &new, &Quarantine::default()).unwrap();
    for (name, first, last) in rows {
        let mut plan = good.clone();
        let early = plan.writes.remove(last);
        plan.writes.insert(first, early);
        let verdict = run(&mut machine.clone(), &plan, &new, &Quarantine::default());
        assert!(verdict.is_err(), "{name}: nobody noticed");
    }
}

#[test]
fn a_full_table_is_an_error_before_anything_is_written() {
    let held = Quarantine { ranges: [(1, lb_common::maps::MAX_SLOTS - 1)].into(), ..Quarantine::default() };
    let full = reconcile(&web(vec![server(1, 1)]), &Machine::default().read_back(), &held).unwrap_err();
    assert_eq!(full.what, "slots");
}

#[test]
fn targets_are_compared_whole() {
    let target: Vec<Target> =
        expected(&web(vec![server(1, 1)])).into_values().flat_map(|meets| meets.1).collect();
    assert!(target.iter().all(|target| target.way == Some((11, [1; 6])) && target.mtu == 1500));
}
