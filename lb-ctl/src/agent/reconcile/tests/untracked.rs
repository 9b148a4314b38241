//! Slots of untracked services: changed in place, in steps, and at rest when their time has passed.

use super::machine::Machine;
use super::worlds::{server, service, tables};
use crate::agent::ids::Quarantine;
use crate::agent::plan::Plan;
use crate::agent::reconcile::{Moment, Pace, Standing, reconcile, settle};
use crate::agent::tables::{Server, Service, Tables};
use crate::datapath::tables::Write;
use lb_common::scheduler::Scheduler;
use lb_common::server::{Method, ServerRef, ServerState};
use lb_common::service::{FLAG_UNTRACKED, SlotRange, View};
use lb_common::slots::{Slot, SlotState};
use std::collections::{BTreeMap, BTreeSet};

/// The idle timeout of the services, and a time to begin with.
const IDLE: u64 = 900_000;
const NOW: u64 = 10_000_000;

fn with(scheduler: Scheduler, servers: Vec<Server>) -> Tables {
    let hashed = matches!(scheduler, Scheduler::Mh | Scheduler::Sh);
    let flags = if hashed { FLAG_UNTRACKED } else { 0 };
    tables(vec![Service { scheduler, flags, ..service(1, &[80], servers) }])
}

fn mh(servers: Vec<Server>) -> Tables {
    with(Scheduler::Mh, servers)
}

fn drained(host: u8) -> Server {
    Server { state: ServerState::NoNew, ..server(host, 1) }
}

fn unreachable(host: u8) -> Server {
    Server { next_hop: None, ..server(host, 1) }
}

/// A kernel and its clock.
struct World {
    machine: Machine,
    now: u64,
}

impl World {
    fn new(wanted: &Tables) -> Self {
        let mut world = Self { machine: Machine::default(), now: NOW };
        world.follow(wanted, Pace::Whole);
        world
    }

    fn follow(&mut self, wanted: &Tables, pace: Pace) -> Plan {
        let held = Quarantine { ranges: self.ranges(), ..Quarantine::default() };
        let moment = Moment { quarantine: &held, pace, now: self.now };
        let plan = reconcile(wanted, &self.machine.read_back(), moment).unwrap();
        plan.writes.iter().for_each(|write| self.machine.write(write, &Quarantine::default()).unwrap());
        plan
    }

    /// What passing time, and a sweep that found these slots to be deviated from, make of the tables.
    fn settle(&mut self, after: u64, deviating: Option<&BTreeSet<u32>>) -> Plan {
        self.now += after;
        let moment = Moment { quarantine: &Quarantine::default(), pace: Pace::Hold, now: self.now };
        let plan = settle(&self.machine.read_back(), deviating, moment).unwrap();
        plan.writes.iter().for_each(|write| self.machine.write(write, &Quarantine::default()).unwrap());
        plan
    }

    fn view(&self) -> View {
        *self.machine.read_back().views.values().next().unwrap()
    }

    fn slots(&self) -> Vec<Slot> {
        self.machine.read_back().slots[&self.view().slots.first].clone()
    }

    fn ranges(&self) -> BTreeSet<(u32, u32)> {
        let kernel = self.machine.read_back();
        kernel.slots.iter().map(|(first, slots)| (*first, u32::try_from(slots.len()).unwrap())).collect()
    }

    /// How many slots are in which state.
    fn states(&self) -> BTreeMap<u8, usize> {
        let mut states = BTreeMap::new();
        self.slots().iter().for_each(|slot| *states.entry(slot.state() as u8).or_default() += 1);
        states
    }

    fn of(&self, server: u32) -> usize {
        self.slots().iter().filter(|slot| slot.current().id() == server).count()
    }
}

const SETTLED: u8 = SlotState::Settled as u8;
const MOVING: u8 = SlotState::Moving as u8;
const LINGERING: u8 = SlotState::Lingering as u8;
const TRACKED: u8 = SlotState::Tracked as u8;

#[test]
fn a_drain_moves_the_slots_of_one_server_in_place_and_remembers_where_they_were() {
    let mut world = World::new(&mh(vec![server(1, 1), server(2, 1), server(3, 1)]));
    let (before, range) = (world.slots(), world.view().slots);
    assert_eq!(world.states(), [(SETTLED, 4_093)].into());
    let plan = world.follow(&mh(vec![drained(1), server(2, 1), server(3, 1)]), Pace::Whole);
    assert!(
        matches!(
            plan.writes.as_slice(),
            [Write::Change(_), Write::Change(_), Write::ServerState(1, ServerState::NoNew)]
        ),
        "{:?}",
        plan.writes
    );
    assert_eq!((world.view().slots, world.of(1)), (range, 0));
    let moved = before.iter().zip(world.slots()).filter(|(old, new)| old.current() != new.current());
    for (old, new) in moved.clone() {
        assert_eq!((new.previous(), new.state()), (old.current(), SlotState::Moving));
    }
    let own = before.iter().filter(|slot| slot.current().id() == 1).count();
    assert!((own..own + 50).contains(&moved.count()), "no more move than must");
}

#[test]
fn slots_follow_in_steps_but_those_of_a_dead_server_at_once() {
    let three = || vec![server(1, 1), server(2, 1), server(3, 1)];
    let mut world = World::new(&mh(three()));
    let own = world.of(1);
    let wanted = mh(vec![drained(1), server(2, 1), server(3, 1)]);
    for step in 1..=own.div_ceil(256) {
        let plan = world.follow(&wanted, Pace::Step);
        let left = own.saturating_sub(step * 256);
        // A few slots of others move as well.
        assert!((left..=left + 60).contains(&world.of(1)), "step {step}: {} of {own}", world.of(1));
        assert!(plan.held || left == 0, "step {step}");
    }
    world.follow(&wanted, Pace::Step);
    let last = world.follow(&wanted, Pace::Step);
    assert_eq!((last.writes, last.held, world.of(1)), (vec![], false, 0));

    let mut world = World::new(&mh(three()));
    let held = world.follow(&wanted, Pace::Hold);
    assert!(held.held && world.of(1) == own, "a server that keeps its connections can wait");
    let wanted = mh(vec![unreachable(1), server(2, 1), server(3, 1)]);
    world.follow(&wanted, Pace::Hold);
    assert_eq!(world.of(1), 0);
}

#[test]
fn slots_linger_from_before_their_server_takes_no_new_flows_until_after_it_takes_them_again() {
    let mut world = World::new(&mh(vec![server(1, 1), server(2, 1)]));
    let own = world.of(1);
    world.follow(&mh(vec![drained(1), server(2, 1)]), Pace::Hold);
    assert_eq!(world.states(), [(SETTLED, 4_093 - own), (LINGERING, own)].into());
    for _ in 0..3 {
        world.settle(1_000, Some(&BTreeSet::new()));
    }
    assert_eq!(world.states()[&LINGERING], own, "its server takes no new flows yet");
    world.follow(&mh(vec![server(1, 1), server(2, 1)]), Pace::Hold);
    for _ in 0..2 {
        assert_eq!(world.states()[&LINGERING], own);
        world.settle(1_000, Some(&BTreeSet::new()));
    }
    assert_eq!(world.states(), [(SETTLED, 4_093)].into());
}

#[test]
fn a_larger_table_keeps_the_one_before_it_for_one_idle_timeout() {
    let servers = |count: u8| (1..=count).map(|host| server(host, 1)).collect::<Vec<_>>();
    let mut world = World::new(&mh(servers(12)));
    let first = world.view().slots;
    world.follow(&mh(servers(13)), Pace::Hold);
    let view = world.view();
    assert_eq!((view.slots.len, view.old_slots), (8_191, first));
    assert_eq!(world.states(), [(MOVING, 8_191)].into());
    assert!(world.slots().iter().all(|slot| slot.previous() == ServerRef::NONE));
    world.settle(IDLE / 2, None);
    // What is younger was remembered: the oldest table is asked on.
    world.follow(&with(Scheduler::Sh, servers(13)), Pace::Hold);
    assert_eq!((world.view().old_slots, world.view().old_pick), (first, view.pick));
    world.settle(IDLE / 2, None);
    assert_eq!(world.view().old_slots, first, "it is not over yet");
    let plan = world.settle(IDLE / 4, None);
    assert_eq!(world.view().old_slots, SlotRange::default());
    assert_eq!(plan.freed.ranges, [(first.first, first.len)].into());
    world.settle(IDLE, None);
    assert_eq!(world.states().into_keys().collect::<Vec<_>>(), [LINGERING]);
    assert!(Standing::of(&world.machine.read_back()).unsettled);
    world.settle(1_000, Some(&BTreeSet::new()));
    let first = world.view().slots.first;
    world.settle(1_000, Some(&[first, first + 7].into()));
    assert_eq!(world.states()[&LINGERING], 2);
    world.settle(1_000, Some(&BTreeSet::new()));
    world.settle(1_000, Some(&BTreeSet::new()));
    assert_eq!(world.states().into_keys().collect::<Vec<_>>(), [SETTLED]);
    assert!(!Standing::of(&world.machine.read_back()).unsettled);
}

#[test]
fn a_service_that_is_tracked_from_now_on_asks_its_slots_and_the_other_way_round() {
    let servers = || vec![server(1, 1), server(2, 1)];
    let mut world = World::new(&mh(servers()));
    let slots = world.view().slots;
    world.follow(&with(Scheduler::Wrr, servers()), Pace::Hold);
    assert_eq!((world.view().old_slots, world.view().is_untracked()), (slots, false));
    world.settle(2 * IDLE, None);
    assert_eq!(world.view().old_slots, SlotRange::default());
    world.follow(&mh(servers()), Pace::Hold);
    assert_eq!(world.view().old_slots, SlotRange::default(), "every flow was in the table");
    assert_eq!(world.states(), [(LINGERING, 4_093)].into());
}

#[test]
fn a_service_that_is_tracked_with_the_same_slots_keeps_them() {
    let wanted = mh(vec![server(1, 1), server(2, 1)]);
    let mut tracked = wanted.clone();
    tracked.services[0].flags = 0;
    let mut world = World::new(&wanted);
    let slots = world.view().slots;
    world.follow(&tracked, Pace::Hold);
    assert_eq!(
        (world.view().slots, world.view().old_slots, world.view().is_untracked()),
        (slots, slots, false)
    );
    assert_eq!(world.follow(&tracked, Pace::Hold).writes, []);
    assert!(world.settle(2 * IDLE, None).freed.ranges.is_empty());
    assert_eq!(world.view().old_slots, SlotRange::default());
}

#[test]
fn a_service_whose_servers_are_all_drained_finds_their_connections() {
    let mut world = World::new(&mh(vec![server(1, 1)]));
    let slots = world.view().slots;
    world.follow(&mh(vec![drained(1)]), Pace::Step);
    assert_eq!((world.view().slots, world.view().old_slots), (SlotRange::default(), slots));
    assert_eq!(Standing::of(&world.machine.read_back()).owners.len(), 1);
    world.follow(&mh(vec![server(1, 1)]), Pace::Step);
    assert_eq!(world.view().old_slots, slots);
    assert_eq!(world.states(), [(MOVING, 4_093)].into());
}

#[test]
fn slots_of_nat_servers_are_tracked_once_their_flows_were_seen() {
    let nat = |host| Server { method: Method::Nat, ..server(host, 1) };
    let mut world = World::new(&mh(vec![nat(1), server(2, 1)]));
    let own = world.of(1);
    assert_eq!(world.states(), [(SETTLED, 4_093 - own), (TRACKED, own)].into());
    world.follow(&mh(vec![nat(1), drained(2)]), Pace::Whole);
    assert_eq!(world.states(), [(MOVING, 4_093 - own), (TRACKED, own)].into());
    world.settle(2 * IDLE, None);
    assert_eq!(world.states(), [(TRACKED, 4_093)].into());
    assert!(Standing::of(&world.machine.read_back()).owners.is_empty());
}

#[test]
fn another_idle_timeout_starts_the_clock_of_moving_slots_anew() {
    let servers = || vec![drained(1), server(2, 1), server(3, 1)];
    let mut world = World::new(&mh(vec![server(1, 1), server(2, 1), server(3, 1)]));
    world.follow(&mh(servers()), Pace::Whole);
    world.now += IDLE;
    let mut wanted = mh(servers());
    wanted.services[0].timeouts.established = 16_000;
    world.follow(&wanted, Pace::Whole);
    assert!(world.settle(15_000, None).writes.is_empty(), "marks of the old clock mean nothing");
    world.settle(5_000, None);
    assert!(!world.states().contains_key(&MOVING));
}

#[test]
fn another_idle_timeout_starts_the_clock_of_an_older_table_anew() {
    let servers = |count: u8| (1..=count).map(|host| server(host, 1)).collect::<Vec<_>>();
    let mut world = World::new(&mh(servers(12)));
    let first = world.view().slots;
    world.follow(&mh(servers(13)), Pace::Hold);
    world.now += IDLE;
    let mut wanted = with(Scheduler::Sh, servers(13));
    wanted.services[0].timeouts.established = 16_000;
    world.follow(&wanted, Pace::Hold);
    world.settle(15_000, None);
    assert_eq!(world.view().old_slots, first, "marks of the old clock mean nothing");
    world.settle(5_000, None);
    assert_eq!(world.view().old_slots, SlotRange::default());
}
