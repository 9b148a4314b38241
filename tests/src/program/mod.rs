//! The director's program, loaded with tables of a test's own, and run on one packet at a time.
//!
//! Each run states its verdict, the packet that leaves and the counters that move; that nothing else moved is checked
//! every time. Needs root.
#![expect(clippy::panic, clippy::missing_panics_doc, reason = "a harness fails the test that uses it")]

mod decap;
mod expected;
mod fixture;
mod world;

use std::fmt::Display;
use std::net::IpAddr;
use std::process::Command;

use lb_common::counters::{Count, Traffic};
use lb_common::service::{ServiceKey, SlotRange};
use lb_ctl::agent::reconcile::with_index;
use lb_ctl::datapath::tables::Write;
use lb_ctl::datapath::{Counted, Datapath};
use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, unshare};
use nix::unistd::Pid;

use crate::packet::describe;

pub use decap::LoadedDecap;
pub use expected::{Action, Counters, Expected, answers, drops, passes, sends};
pub use fixture::{Case, Step, cases};
pub use world::{
    FIRST, GENERATION, SECOND, SECOND_IFINDEX, SECOND_MAC, ServerSpec, Service, World, mac_of, server,
    service,
};

/// The loaded program, with the tables of a [`World`].
#[derive(Debug)]
pub struct LoadedProgram {
    datapath: Datapath,
    world: World,
    next_slot: u32,
    next_view: u32,
}

impl LoadedProgram {
    /// Loads the program and writes the tables of `world`.
    ///
    /// The thread stays on one CPU from here on: the allowance for answers is per CPU.
    pub fn load(world: &World) -> Self {
        stay_on_one_cpu();
        let datapath = Datapath::open_unpinned().unwrap_or_else(failed("load the program"));
        let mut program = Self { datapath, world: world.clone(), next_slot: 1, next_view: 1 };
        program.apply(&world.foundation());
        for (id, service) in (1..).zip(&world.services) {
            let weights: Vec<u32> = service.servers.iter().map(|server| server.weight).collect();
            program.reschedule(id, &weights);
            program.apply_keys(service.keys().map(|key| (key, Some(id))));
        }
        program
    }

    /// Changes the tables, in order.
    pub fn apply(&mut self, writes: &[Write]) {
        self.datapath.apply(writes).unwrap_or_else(failed("write the tables"));
    }

    /// Changes keys, and the index with them, as the agent does.
    pub fn apply_keys(&mut self, keys: impl IntoIterator<Item = (ServiceKey, Option<u32>)>) {
        let keys = keys.into_iter().map(|(key, id)| Write::ServiceKey(key, id)).collect();
        let tables = self.datapath.snapshot().unwrap_or_else(failed("read the tables"));
        self.apply(&with_index(keys, &tables));
    }

    /// Gives service `id` the slots of these weights, in a range and a view of their own, as the agent swaps them.
    pub fn reschedule(&mut self, id: u32, weights: &[u32]) {
        let place = usize::try_from(id - 1).unwrap_or(usize::MAX);
        let Some(service) = self.world.services.get(place) else { panic!("there is no service {id}") };
        let slots = self.world.slots(id, service, weights);
        let len = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        let (first, index) = (self.next_slot, self.next_view);
        let view = service.view(SlotRange { first, len });
        (self.next_slot, self.next_view) = (first + len, index + 1);
        self.apply(&[Write::Slots(first, slots), Write::View(index, view), Write::Service(id, index)]);
    }

    /// The tables, for what a test has to look up itself.
    pub fn datapath(&self) -> &Datapath {
        &self.datapath
    }

    /// Runs the program on a frame without looking at anything but the action.
    pub fn run(&mut self, frame: &[u8]) -> (Action, Vec<u8>) {
        action(self.datapath.test_run(frame, None).unwrap_or_else(failed("run the program")))
    }

    /// Runs the program on a frame, and fails with both packets if anything is not as `expected`.
    #[track_caller]
    pub fn expect(&mut self, frame: &[u8], expected: &Expected) {
        let before = self.counters();
        let (action, packet) = self.run(frame);
        let moved = self.counters().since(&before);
        check(frame, expected, action, &packet);
        let wanted = expected.counters(frame.len());
        assert_eq!(moved, wanted, "these counters moved (left), of this frame:\n{}", describe(frame));
    }

    /// Every counter that is not zero.
    pub fn counters(&self) -> Counters {
        let Counted { reasons, services, servers } =
            self.datapath.counted().unwrap_or_else(failed("read the counters"));
        let reasons = reasons.into_iter().map(|(reason, answered, count)| ((reason.word(), answered), count));
        Counters {
            reasons: reasons.filter(|(_, count)| *count != Count::default()).collect(),
            services: services.into_iter().filter(|(_, traffic)| *traffic != Traffic::default()).collect(),
            servers: servers.into_iter().filter(|(_, traffic)| *traffic != Traffic::default()).collect(),
        }
    }
}

/// Gives this thread a network namespace of its own with a second interface, number [`SECOND_IFINDEX`].
pub fn second_interface() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap_or_else(failed("make a network namespace"));
    let number = SECOND_IFINDEX.to_string();
    let arguments = ["link", "add", "second", "index", &number, "type", "veth", "peer", "name", "far"];
    let status = Command::new("ip").args(arguments).status().unwrap_or_else(failed("run ip"));
    assert!(status.success(), "ip cannot make a pair of veth");
}

/// The address that `text` is.
pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(failed("read an address"))
}

fn action((number, packet): (u32, Vec<u8>)) -> (Action, Vec<u8>) {
    let action = Action::from_number(number).unwrap_or_else(|| panic!("{number} is no XDP action"));
    (action, packet)
}

#[track_caller]
fn check(frame: &[u8], expected: &Expected, action: Action, packet: &[u8]) {
    let wanted = expected.packet.as_deref().unwrap_or(frame);
    let dropped = expected.action == Action::Drop;
    if action != expected.action || (!dropped && packet != wanted) {
        let rule = "-".repeat(60);
        panic!(
            "{action:?}, wanted {:?}\n{rule}\nin: {}\n{rule}\nout: {}\n{rule}\nwanted: {}\n{rule}",
            expected.action,
            describe(frame),
            describe(packet),
            describe(wanted)
        );
    }
}

/// Keeps this thread on the CPU that it runs on.
pub fn stay_on_one_cpu() {
    let mut cpus = CpuSet::new();
    let cpu = nix::sched::sched_getcpu().unwrap_or_else(failed("ask for the CPU"));
    cpus.set(cpu).unwrap_or_else(failed("name a CPU"));
    sched_setaffinity(Pid::from_raw(0), &cpus).unwrap_or_else(failed("stay on one CPU"));
}

fn failed<T, E: Display>(doing: &str) -> impl FnOnce(E) -> T {
    move |error| panic!("cannot {doing}: {error}")
}
