//! Tables of an older schema, and programs of another version: replaced while they are attached.

use super::full::{array, attached, contents, directories, fill, send, small};
use super::{isolated, no_fork, open};
use aya::maps::{Array, MapData, PerCpuArray};
use lb_common::maps::SCHEMA_VERSION;
use lb_ctl::config::model::Mode;
use lb_ctl::datapath::{self, DatapathError, Result, Upgraded, decap};
use std::fs;
use std::path::Path;

/// Puts settings of another schema in the place of the present ones: of schema 1, which had 16 bytes, or of a later one.
fn age(bpffs: &Path, version: u32) {
    if version == 1 {
        replace::<16>(bpffs, version);
    } else {
        replace::<32>(bpffs, version);
    }
    // Which the versions before 4 did not have, and the counters of services as programs wrote them.
    fs::remove_file(bpffs.join("lb/maps/SERVICE_INDEX")).unwrap();
    let place = bpffs.join("lb/maps/SERVICE_COUNTERS");
    fs::remove_file(&place).unwrap();
    PerCpuArray::<MapData, [u8; 40]>::create(64, 0).unwrap().pin(&place).unwrap();
}

fn replace<const SIZE: usize>(bpffs: &Path, version: u32) {
    let place = bpffs.join("lb/maps/SETTINGS");
    let now = &array::<32>(&bpffs.join("lb/maps"), "SETTINGS")[&vec![0; 4]];
    let mut old: [u8; SIZE] = now[..SIZE].try_into().unwrap();
    old[..4].copy_from_slice(&version.to_ne_bytes());
    let mut map = Array::<MapData, [u8; SIZE]>::create(1, 0).unwrap();
    map.set(0, old, 0).unwrap();
    fs::remove_file(&place).unwrap();
    map.pin(&place).unwrap();
}

fn upgrade(bpffs: &Path, migrate: bool) -> Result<Upgraded> {
    let _guard = no_fork();
    datapath::upgrade(bpffs, migrate)
}

#[test]
fn tables_of_schema_1_are_migrated_when_it_is_asked_for() {
    migrated(1);
}

#[test]
fn tables_of_schema_2_are_migrated_when_it_is_asked_for() {
    migrated(2);
}

#[test]
fn tables_of_schema_3_are_migrated_when_it_is_asked_for() {
    migrated(3);
}

fn migrated(version: u32) {
    isolated(|bpffs| {
        let mut datapath = attached(bpffs);
        fill(&mut datapath);
        let (before, tables) = (contents(bpffs), datapath.snapshot().unwrap());
        drop(datapath);
        age(bpffs, version);
        let lb = bpffs.join("lb");
        for error in [open(bpffs).unwrap_err(), upgrade(&lb, false).unwrap_err()] {
            assert!(
                matches!(error, DatapathError::Schema { pinned, ours: SCHEMA_VERSION, .. } if pinned == version),
                "{error}"
            );
            assert!(error.hint().unwrap().contains("`lb-ctl upgrade --migrate`"), "{error:?}");
        }
        let upgraded = upgrade(&lb, true).unwrap();
        let Upgraded::Migrated { from, interfaces, rebuilt } = upgraded else { panic!("{upgraded:?}") };
        assert_eq!(from, version);
        assert_eq!((interfaces, rebuilt.maps), (vec!["left".to_owned(), "other".to_owned()], 5));
        let mut after = contents(bpffs);
        for (name, elements) in &before {
            let now = after.remove(name).unwrap();
            // What was counted means something else since version 4.
            let begins_anew = name.ends_with("_COUNTERS");
            assert!(if begins_anew { now.is_empty() } else { now == *elements }, "{name} changed");
        }
        assert_eq!(directories(bpffs), ["links", "maps"]);
        assert_eq!(upgrade(&lb, true).unwrap(), Upgraded::Current);
        let mut datapath = open(bpffs).unwrap();
        let counted = datapath.counted().unwrap();
        assert!(counted.reasons.iter().all(|(.., count)| count.packets == 0), "{counted:?}");
        let now = datapath.snapshot().unwrap();
        let heartbeat = if version == 1 { 0 } else { tables.settings.heartbeat };
        assert_eq!(now.settings, lb_common::counters::Settings { heartbeat, ..tables.settings });
        assert_eq!(now.capacities, small());
        assert_eq!(send(&mut datapath, 7), 3);
    });
}

#[test]
fn an_index_whose_pin_is_lost_is_made_from_the_keys_before_a_packet_asks_it() {
    for by_upgrade in [true, false] {
        isolated(|bpffs| {
            let mut datapath = attached(bpffs);
            fill(&mut datapath);
            let before = contents(bpffs);
            drop(datapath);
            fs::remove_file(bpffs.join("lb/maps/SERVICE_INDEX")).unwrap();
            if by_upgrade {
                assert_eq!(upgrade(&bpffs.join("lb"), false).unwrap(), Upgraded::Current);
            } else {
                drop(open(bpffs).unwrap());
            }
            assert!(contents(bpffs) == before, "an element changed");
            assert_eq!(send(&mut open(bpffs).unwrap(), 7), 3);
        });
    }
}

#[test]
fn an_unknown_schema_is_refused_with_those_that_are_known() {
    isolated(|bpffs| {
        drop(attached(bpffs));
        age(bpffs, 41);
        let error = upgrade(&bpffs.join("lb"), true).unwrap_err().to_string();
        assert!(
            error.ends_with("their schema is version 41, this lb-ctl knows versions 1, 2, 3 and 4"),
            "{error}"
        );
    });
}

#[test]
fn an_upgrade_needs_pins_and_no_agent() {
    isolated(|bpffs| {
        let lb = bpffs.join("lb");
        assert!(matches!(upgrade(&lb, false).unwrap_err(), DatapathError::NothingPinned { .. }));
        let datapath = attached(bpffs);
        assert!(matches!(upgrade(&lb, false).unwrap_err(), DatapathError::InUse { .. }));
        drop(datapath);
        assert_eq!(upgrade(&lb, false).unwrap(), Upgraded::Current);
    });
}

#[test]
fn another_program_is_replaced_where_it_is_attached() {
    isolated(|bpffs| {
        let lb = bpffs.join("lb");
        let mut datapath = attached(bpffs);
        fill(&mut datapath);
        let before = contents(bpffs);
        datapath.detach("other").unwrap();
        drop(datapath);
        // Any other program will do: this one lies in the same objects.
        decap::attach(&lb, "other", Mode::Auto, &[]).unwrap();
        fs::rename(lb.join("decap/links/other"), lb.join("links/other")).unwrap();
        assert_eq!(upgrade(&lb, false).unwrap(), Upgraded::Replaced(vec!["other".to_owned()]));
        assert_eq!(upgrade(&lb, false).unwrap(), Upgraded::Current);
        assert!(contents(bpffs) == before, "an element changed");
    });
}
