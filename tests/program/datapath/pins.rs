//! What is pinned outlives the process that made it, and only what fits is adopted.

use super::{ip, isolated, open, service};
use lb_common::counters::Settings;
use lb_common::maps::SCHEMA_VERSION;
use lb_common::server::Method;
use lb_ctl::config::model::Mode;
use lb_ctl::datapath::tables::Write;
use lb_ctl::datapath::{Datapath, DatapathError, OpenOptions, read_pins};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn a_new_process_finds_the_tables_of_the_old_one() {
    isolated(|bpffs| {
        let mut first = open(bpffs).unwrap();
        first.apply(&service(Method::Nat)).unwrap();
        let written = first.snapshot().unwrap();
        assert_eq!((written.service_keys.len(), written.services.len(), written.servers.len()), (1, 1, 1));
        drop(first);
        assert_eq!(open(bpffs).unwrap().snapshot().unwrap(), written);
        let pinned = read_pins(&bpffs.join("lb")).unwrap().unwrap();
        assert_eq!(pinned.reader.snapshot().unwrap(), written);
        assert_eq!(pinned.attachments, []);
    });
}

#[test]
fn fresh_tables_carry_the_version_of_their_schema() {
    isolated(|bpffs| {
        assert!(read_pins(&bpffs.join("lb")).unwrap().is_none());
        let settings = open(bpffs).unwrap().snapshot().unwrap().settings;
        assert_eq!(settings, Settings { schema: SCHEMA_VERSION, ..Settings::default() });
    });
}

#[test]
fn pins_have_one_writer_and_any_number_of_readers() {
    isolated(|bpffs| {
        let first = open(bpffs).unwrap();
        let error = open(bpffs).unwrap_err();
        assert!(
            matches!(error, DatapathError::InUse { pid, .. } if pid == Some(std::process::id())),
            "{error}"
        );
        assert!(read_pins(&bpffs.join("lb")).unwrap().is_some());
        drop(first);
        open(bpffs).unwrap();
    });
}

#[test]
fn only_root_may_look_at_the_pins() {
    isolated(|bpffs| {
        drop(open(bpffs).unwrap());
        for directory in ["lb", "lb/maps", "lb/links"] {
            let mode = fs::metadata(bpffs.join(directory)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{directory}");
        }
    });
}

#[test]
fn another_schema_is_refused_with_both_numbers() {
    isolated(|bpffs| {
        let other = Settings { schema: SCHEMA_VERSION + 41, ..Settings::default() };
        open(bpffs).unwrap().apply(&[Write::Settings(other)]).unwrap();
        for error in [open(bpffs).unwrap_err(), read_pins(&bpffs.join("lb")).unwrap_err()] {
            let text = error.to_string();
            assert!(text.contains(&format!("version {},", SCHEMA_VERSION + 41)), "{text}");
            assert!(text.ends_with(&format!("version {SCHEMA_VERSION}")), "{text}");
        }
    });
}

#[test]
fn a_map_of_another_shape_is_refused() {
    isolated(|bpffs| {
        drop(open(bpffs).unwrap());
        let maps = bpffs.join("lb/maps");
        fs::rename(maps.join("SERVICES"), maps.join("VIEWS")).unwrap();
        let error = open(bpffs).unwrap_err();
        assert!(
            matches!(error, DatapathError::Shape { what: "value size", pinned: 8, ours: 64, .. }),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("lb/maps"), "{error:?}");
    });
}

#[test]
fn a_missing_bpffs_is_named_with_the_command_that_mounts_it() {
    isolated(|_| {
        let bpffs = std::env::temp_dir().join("lb");
        let error = Datapath::open(&OpenOptions { bpffs, debug_log: false }).unwrap_err();
        let place = std::env::temp_dir().display().to_string();
        assert_eq!(error.to_string(), format!("bpffs is not mounted at {place}"));
        assert_eq!(error.hint().unwrap(), format!("`mount -t bpf bpf {place}` mounts it"));
    });
}

#[test]
fn what_is_attached_can_be_seen_without_the_program() {
    isolated(|bpffs| {
        ip("link add left type veth peer name right");
        let attached = open(bpffs).unwrap().attach("left", Mode::Auto).unwrap();
        let pinned = read_pins(&bpffs.join("lb")).unwrap().unwrap();
        assert_eq!(pinned.attachments, [("left".to_owned(), attached)]);
    });
}
