//! Tables that change their size: nothing of them is lost, wherever it is cut short.

use super::full::{attached, contents, directories, fill, map, open, send, small};
use super::{ip, isolated, service};
use aya::maps::{HashMap, Map, MapData};
use lb_common::maps::MAX_HALF_OPEN;
use lb_common::server::Method;
use lb_ctl::config::model::Mode;
use lb_ctl::datapath::tables::{Capacities, Kernel};
use lb_ctl::datapath::{Datapath, DatapathError, OpenOptions, Recovery, Step, now_ms};
use nix::mount::{MsFlags, mount};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::{env, fs};

#[test]
fn every_entry_of_every_table_is_there_after_a_change_of_size() {
    let rows = [
        ("more connections", Capacities::of(20_000, 63, 127, 4_095)),
        ("fewer connections", Capacities::of(2_048, 63, 127, 4_095)),
        ("more of all", Capacities::of(20_000, 8_000, 60_000, 100_000)),
        ("fewer of all", Capacities::of(4_096, 4, 5, 1_024)),
    ];
    isolated(|bpffs| {
        ip("link add left type veth peer name right");
        let mut datapath = open(bpffs);
        datapath.attach("left", Mode::Auto).unwrap();
        fill(&mut datapath);
        let (mut before, tables) = (contents(bpffs), datapath.snapshot().unwrap());
        assert_eq!(before["CONNECTIONS"].len(), 2_000);
        assert!(
            before.iter().all(|(name, elements)| *name == "SEQUENCE" || !elements.is_empty()),
            "{before:?}"
        );
        for (name, capacities) in rows {
            let rebuilt = datapath.resize(&capacities, &mut |_| {}).unwrap();
            assert!(rebuilt.maps > 0 && [0, 2_000].contains(&rebuilt.flows), "{name}: {rebuilt:?}");
            let now = datapath.snapshot().unwrap();
            assert_eq!(now.capacities, capacities, "{name}");
            assert_eq!(Kernel { capacities: tables.capacities, ..now }, tables, "{name}");
            assert!(contents(bpffs) == before, "{name}: an element changed");
            assert_eq!(directories(bpffs), ["links", "maps"], "{name}");
            assert_eq!(datapath.resize(&capacities, &mut |_| {}).unwrap().maps, 0, "{name}");
            assert_eq!(send(&mut datapath, 7), 3, "{name}");
            assert!(contents(bpffs)["SERVER_COUNTERS"] != before["SERVER_COUNTERS"], "it counts elsewhere");
            before = contents(bpffs);
        }
    });
}

/// Changes sizes until before step number `at`, as if the agent were killed there: nothing is cleaned up. The steps.
fn killed_at(mut datapath: Datapath, capacities: &Capacities, at: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut watch = |step| {
        steps.push(step);
        if steps.len() > at {
            std::panic::resume_unwind(Box::new("killed"));
        }
    };
    let killed = catch_unwind(AssertUnwindSafe(|| datapath.resize(capacities, &mut watch).map(drop)));
    assert!(killed.is_err(), "there is no step number {at}");
    steps
}

#[test]
fn wherever_an_agent_dies_the_next_one_finds_everything() {
    let wanted = Capacities::of(20_000, 8_000, 60_000, 100_000);
    let all = isolated_steps(&wanted);
    assert!(all.iter().filter(|step| **step == Step::Switch).count() == 2, "{all:?}");
    for at in 0..all.len() {
        isolated(|bpffs| {
            let mut datapath = attached(bpffs);
            fill(&mut datapath);
            let (before, small) = (contents(bpffs), datapath.snapshot().unwrap().capacities);
            let died_at = *killed_at(datapath, &wanted, at).last().unwrap();
            let name = format!("{died_at:?}, step {at}");
            let mut next = open(bpffs);
            let in_use = all[..at].contains(&Step::Switch);
            let recovery = match (at, in_use) {
                (0, _) => Recovery::Nothing,
                (_, false) => Recovery::TakenBack,
                (_, true) => Recovery::Finished,
            };
            assert_eq!(next.recovery(), recovery, "{name}");
            assert_eq!(directories(bpffs), ["links", "maps"], "{name}");
            let now = next.snapshot().unwrap();
            assert_eq!(now.capacities, if in_use { wanted } else { small }, "{name}");
            assert_eq!(now.settings.hold_until == 0, died_at != Step::Switch || in_use, "{name}");
            assert!(contents(bpffs) == before, "{name}: an element changed");
            for interface in ["left", "other"] {
                next.attach(interface, Mode::Auto).unwrap();
            }
            assert_eq!(send(&mut next, 7), 3, "{name}");
            next.resize(&wanted, &mut |_| {}).unwrap();
            assert_eq!(next.snapshot().unwrap().capacities, wanted, "{name}");
        });
    }
}

fn isolated_steps(wanted: &Capacities) -> Vec<Step> {
    let mut steps = Vec::new();
    isolated(|bpffs| {
        attached(bpffs).resize(wanted, &mut |step| steps.push(step)).unwrap();
    });
    steps
}

#[test]
fn what_the_old_program_writes_after_the_copy_is_brought_over() {
    isolated(|bpffs| {
        let mut datapath = attached(bpffs);
        fill(&mut datapath);
        let before = contents(bpffs)["CONNECTIONS"].clone();
        let (key, value) = before.iter().next().unwrap();
        let late: [u8; 24] = std::array::from_fn(|byte| if byte == 15 { 99 } else { key[byte] });
        let mut closed: [u8; 16] = value.as_slice().try_into().unwrap();
        closed[15] = 3;
        let maps = bpffs.join("lb/maps");
        let mut watch = |step| {
            if step == Step::CatchUp {
                let data = map(&maps, "CONNECTIONS");
                let mut table: HashMap<_, [u8; 24], [u8; 16]> = Map::HashMap(data).try_into().unwrap();
                // As a program writes it: with the time.
                closed[4..8].copy_from_slice(&now_ms().unwrap().to_ne_bytes());
                table.insert(late, closed, 0).unwrap();
            }
        };
        let rebuilt = datapath.resize(&Capacities { connections: 20_000, ..small() }, &mut watch).unwrap();
        assert_eq!((rebuilt.maps, rebuilt.flows, rebuilt.late), (1, 2_000, 1));
        let after = contents(bpffs)["CONNECTIONS"].clone();
        assert_eq!(after.len(), 2_001);
        assert_eq!(after[&late.to_vec()], closed);
    });
}

#[test]
fn a_change_that_the_kernel_refuses_leaves_everything_as_it_was() {
    isolated(|bpffs| {
        let mut datapath = attached(bpffs);
        fill(&mut datapath);
        let (before, tables) = (contents(bpffs), datapath.snapshot().unwrap());
        // A hash map of this size has more buckets than the kernel can count.
        let error =
            datapath.resize(&Capacities { connections: u32::MAX, ..small() }, &mut |_| {}).unwrap_err();
        assert!(error.to_string().starts_with("cannot load the director program"), "{error}");
        let error = datapath.resize(&Capacities { connections: 1_500, ..small() }, &mut |_| {}).unwrap_err();
        assert!(error.to_string().starts_with("cannot write CONNECTIONS"), "{error}");
        assert_eq!(datapath.snapshot().unwrap(), tables);
        assert!(contents(bpffs) == before, "an element changed");
        assert_eq!(directories(bpffs), ["links", "maps"]);
        assert_eq!(send(&mut datapath, 7), 3);
    });
}

/// The file system of the pins takes no change from `step` on; the tables are exchanged all the same, and settled later.
#[test]
fn pins_that_cannot_be_exchanged_are_exchanged_later() {
    for cut_off in [Step::Commit, Step::Rename, Step::Clean] {
        isolated(|bpffs| {
            let mut datapath = attached(bpffs);
            fill(&mut datapath);
            let (before, wanted) = (contents(bpffs), Capacities { connections: 20_000, ..small() });
            let remount = |flags| {
                let none: Option<&str> = None;
                mount(none, bpffs, none, MsFlags::MS_REMOUNT | flags, none).unwrap();
            };
            let mut watch = |step| {
                if step == cut_off {
                    remount(MsFlags::MS_RDONLY);
                }
            };
            let rebuilt = datapath.resize(&wanted, &mut watch).unwrap();
            assert_eq!(
                (rebuilt.maps, rebuilt.flows, datapath.is_settled()),
                (1, 2_000, false),
                "{cut_off:?}"
            );
            datapath.settle().unwrap_err();
            assert_eq!(datapath.snapshot().unwrap().capacities.connections, 20_000, "{cut_off:?}");
            remount(MsFlags::empty());
            datapath.settle().unwrap();
            assert!(datapath.is_settled());
            assert_eq!(directories(bpffs), ["links", "maps"], "{cut_off:?}");
            assert!(contents(bpffs)["CONNECTIONS"] == before["CONNECTIONS"], "{cut_off:?}: a flow changed");
            assert!(
                datapath.replaced().unwrap().is_empty(),
                "{cut_off:?}: an interface runs another program"
            );
            datapath.resize(&small(), &mut |_| {}).unwrap();
            assert!(contents(bpffs)["CONNECTIONS"] == before["CONNECTIONS"], "{cut_off:?}: a flow changed");
            assert_eq!(send(&mut datapath, 7), 3, "{cut_off:?}");
            assert_eq!(open_again(datapath, bpffs).capacities, small(), "{cut_off:?}");
        });
    }
}

fn open_again(datapath: Datapath, bpffs: &Path) -> Kernel {
    drop(datapath);
    open(bpffs).snapshot().unwrap()
}

#[test]
fn tables_of_any_size_are_adopted_and_others_only_of_their_own() {
    isolated(|bpffs| {
        drop(open(bpffs));
        let maps = bpffs.join("lb/maps");
        let datapath = open(bpffs);
        assert_eq!(datapath.snapshot().unwrap().capacities.connections, 8_192);
        drop(datapath);
        fs::remove_file(maps.join("NAT_HOSTS")).unwrap();
        let other = HashMap::<MapData, [u8; 16], [u8; 4]>::create(5, 0).unwrap();
        other.pin(maps.join("NAT_HOSTS")).unwrap();
        assert_eq!(open(bpffs).snapshot().unwrap().capacities.nat_hosts, 5);
        fs::remove_file(maps.join("INTERFACE_KEYS")).unwrap();
        let other = HashMap::<MapData, [u8; 4], [u8; 4]>::create(MAX_HALF_OPEN, 0).unwrap();
        other.pin(maps.join("INTERFACE_KEYS")).unwrap();
        let options = OpenOptions { bpffs: bpffs.join("lb"), debug_log: false };
        let error = Datapath::open_sized(&options, &small()).unwrap_err();
        assert!(
            matches!(error, DatapathError::Shape { what: "number of entries", pinned: MAX_HALF_OPEN, .. }),
            "{error}"
        );
    });
}

/// Not a test of what is right: prints how long it takes. `LB_MEASURE=1` runs it.
#[test]
fn a_change_of_size_holds_packets_for_as_long_as_one_pass() {
    const LARGE: [u32; 3] = [100_000, 1_000_000, 4_000_000];
    let measured = env::var_os("LB_MEASURE").is_some();
    for flows in LARGE.into_iter().take(if measured { 3 } else { 1 }) {
        isolated(|bpffs| {
            ip("link add left type veth peer name right");
            let options = OpenOptions { bpffs: bpffs.join("lb"), debug_log: false };
            let room = Capacities { connections: flows + 1_000, ..Capacities::default() };
            let mut datapath = Datapath::open_sized(&options, &room).unwrap();
            datapath.apply(&service(Method::Dr)).unwrap();
            datapath.attach("left", Mode::Auto).unwrap();
            send(&mut datapath, 1);
            send(&mut datapath, 1);
            let (key, value) = contents(bpffs)["CONNECTIONS"].clone().pop_first().unwrap();
            let data = map(&bpffs.join("lb/maps"), "CONNECTIONS");
            let mut table: HashMap<_, [u8; 24], [u8; 16]> = Map::HashMap(data).try_into().unwrap();
            let value: [u8; 16] = value.try_into().unwrap();
            for number in 0..flows {
                let mut flow: [u8; 24] = key.clone().try_into().unwrap();
                flow[0..4].copy_from_slice(&number.to_ne_bytes());
                table.insert(flow, value, 0).unwrap();
            }
            let began = std::time::Instant::now();
            let wanted = Capacities { connections: flows * 2, ..room };
            let mut watch = |step| println!("{flows} flows: {step:?} after {:?}", began.elapsed());
            let rebuilt = datapath.resize(&wanted, &mut watch).unwrap();
            println!("{flows} flows: {:?} in all, {rebuilt:?}", began.elapsed());
            assert_eq!((rebuilt.flows, rebuilt.late), (u64::from(flows), 0));
        });
    }
}
