//! Every way that a slot, its flows and its servers can come to, and no flow on another server than its own.
//!
//! The model is one lane: the flows that share a slot, before and after the table changed its size. Of flows it keeps
//! which kinds there are: on which server, and whether the table has them.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeSet, VecDeque};
use std::vec::Vec;

/// Servers 1 to 3; the last may be reached by nat.
const SERVERS: [u32; 3] = [1, 2, 3];
const NOW: Epoch = Epoch::from_bits(0);
const LATER: Epoch = Epoch::from_bits(OVER);
const OVER: u8 = 18;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Lane {
    slot: Slot,
    old: Option<Slot>,
    /// Kinds of live flows: server, and whether the table has it.
    flows: BTreeSet<(u32, bool)>,
    /// Servers that take new flows.
    able: BTreeSet<u32>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Give(u32),
    Resize(u32),
    Open,
    See(u32),
    End(u32, bool),
    Age,
    Sweep,
    Disable(u32),
    Enable(u32),
}

fn target(server: u32, nat: bool) -> Target {
    Target { server: ServerRef::new(server, 0), nat: nat && server == 3, stay: true }
}

fn events() -> Vec<Event> {
    use Event::{Age, Disable, Enable, End, Give, Open, Resize, See, Sweep};
    let each = |server| {
        [
            Give(server),
            Resize(server),
            See(server),
            End(server, false),
            End(server, true),
            Disable(server),
            Enable(server),
        ]
    };
    SERVERS.into_iter().flat_map(each).chain([Open, Age, Sweep]).collect()
}

impl Lane {
    fn new(nat: bool) -> Self {
        Self { slot: target(1, nat).fresh(), old: None, flows: BTreeSet::new(), able: SERVERS.into() }
    }

    fn current(&self) -> u32 {
        self.slot.current().id()
    }

    /// The server of a packet of an open connection that the table does not have.
    fn unknown(&self) -> (u32, bool) {
        match self.slot.elder(self.old) {
            ServerRef::NONE => (self.current(), false),
            elder => (elder.id(), true),
        }
    }

    /// A packet of a flow on `server` that the table does not have.
    fn see(&mut self, server: u32) {
        if self.flows.contains(&(server, false)) {
            let (given, remembered) = self.unknown();
            assert_eq!(given, server, "a flow left its server: {self:?}");
            if remembered {
                self.flows.remove(&(server, false));
                self.flows.insert((server, true));
            }
        }
    }

    fn after(mut self, event: Event, nat: bool) -> Self {
        match event {
            Event::Give(to) => self.slot = self.slot.given(target(to, nat), NOW),
            Event::Resize(to) => {
                // What an older table knows goes on being asked: all that came after it is remembered.
                let elder = self.old.or(Some(self.slot));
                self.slot = target(to, nat).succeeding(true, NOW);
                self.old = elder;
            }
            Event::Open if self.able.contains(&self.current()) => {
                self.flows.insert((self.current(), self.slot.remembers()));
            }
            Event::Open => self.flows.extend(self.able.iter().map(|server| (*server, true))),
            Event::See(server) => self.see(server),
            Event::End(server, known) => drop(self.flows.remove(&(server, known))),
            Event::Age => {
                for server in SERVERS {
                    self.see(server);
                }
                self.old = None;
                self.slot = self.slot.aged(nat && self.current() == 3, LATER);
            }
            Event::Sweep if self.able.contains(&self.current()) => {
                if self.slot.is_enough() && self.flows.remove(&(self.current(), true)) {
                    self.flows.insert((self.current(), false));
                }
                let deviates = self.flows.iter().any(|(server, known)| *known && *server != self.current());
                self.slot = self.slot.swept(deviates);
            }
            Event::Sweep => {}
            Event::Disable(server) => {
                self.disturb(server);
                self.able.remove(&server);
            }
            Event::Enable(server) => {
                self.disturb(server);
                self.able.insert(server);
            }
        }
        self
    }

    fn disturb(&mut self, server: u32) {
        if self.current() == server {
            self.slot = self.slot.disturbed();
        }
    }

    /// Each live flow is given its own server by its next packet.
    fn check(&self) {
        for (server, known) in &self.flows {
            if *known {
                assert_ne!(self.slot.state(), SlotState::Settled, "nobody looks for {server}: {self:?}");
            } else {
                assert_eq!(self.unknown().0, *server, "{self:?}");
            }
        }
    }
}

/// A flow that agrees with its settled slot may be in the table: nobody looks, and nothing is wrong.
fn without_harmless(mut lane: Lane) -> Lane {
    if lane.slot.state() == SlotState::Settled {
        lane.flows.remove(&(lane.current(), true));
    }
    lane
}

#[test]
fn no_flow_leaves_its_server_in_any_state_that_can_be_reached() {
    for nat in [false, true] {
        let (mut seen, mut open) = (BTreeSet::new(), VecDeque::from([Lane::new(nat)]));
        while let Some(lane) = open.pop_front() {
            if !seen.insert(lane.clone()) {
                continue;
            }
            without_harmless(lane.clone()).check();
            open.extend(events().into_iter().map(|event| lane.clone().after(event, nat)));
        }
        assert!(seen.len() > 5_000, "only {} states with nat {nat}", seen.len());
    }
}

#[test]
fn without_a_look_at_the_previous_server_a_flow_is_lost() {
    let lane = [Event::Open, Event::Give(2)]
        .into_iter()
        .fold(Lane::new(false), |lane, event| lane.after(event, false));
    assert_eq!(lane.flows, [(1, false)].into());
    assert_eq!((lane.unknown(), lane.current()), ((1, true), 2));
}

#[test]
fn a_slot_comes_to_rest_when_its_flows_have_ended() {
    let (a, b) = (ServerRef::new(1, 0), ServerRef::new(2, 0));
    let moving = Slot::settled(a).given(target(2, false), NOW);
    assert_eq!(moving, Slot::new(b, a, SlotState::Moving, 0));
    assert_eq!(moving.aged(false, Epoch::from_bits(OVER - 1)), moving);
    let lingering = moving.aged(false, LATER);
    assert_eq!(lingering, Slot::new(b, ServerRef::NONE, SlotState::Lingering, 0));
    assert_eq!(lingering.swept(false).swept(true).swept(false).state(), SlotState::Lingering);
    assert_eq!(lingering.swept(false).swept(false), Slot::settled(b));
    assert_eq!(moving.aged(true, LATER).state(), SlotState::Tracked);
}

#[test]
fn a_slot_remembers_where_it_is_not_enough() {
    for state in [SlotState::Settled, SlotState::Moving, SlotState::Lingering, SlotState::Tracked] {
        let slot = Slot::new(ServerRef::new(1, 0), ServerRef::new(2, 0), state, 63);
        assert_ne!(slot.remembers(), slot.is_enough(), "{state:?}");
    }
}

#[test]
fn udp_follows_its_slot() {
    let to = Target { stay: false, ..target(2, false) };
    let slot = Slot::settled(ServerRef::new(1, 0)).given(to, NOW);
    assert_eq!((slot.state(), slot.elder(None)), (SlotState::Lingering, ServerRef::NONE));
    assert_eq!(to.succeeding(true, NOW).state(), SlotState::Lingering);
    assert_eq!(to.fresh(), Slot::settled(to.server));
}

proptest! {
    /// As the exhaustive test, by long ways through it.
    #[test]
    fn no_flow_leaves_its_server_on_a_long_way(
        nat in any::<bool>(),
        way in prop::collection::vec(prop::sample::select(events()), 1..400),
    ) {
        let mut lane = Lane::new(nat);
        for event in way {
            lane = lane.after(event, nat);
            without_harmless(lane.clone()).check();
        }
    }

    #[test]
    fn a_slot_never_keeps_a_nat_server_as_its_previous_one(
        nat in Just(true),
        way in prop::collection::vec(prop::sample::select(events()), 1..400),
    ) {
        let mut lane = Lane::new(nat);
        for event in way {
            lane = lane.after(event, nat);
            prop_assert_ne!(lane.slot.previous().id(), 3);
        }
    }
}
