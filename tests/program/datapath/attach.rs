//! The program on interfaces: modes, replacement in place, interfaces that come and go, programs of others.

use super::{ip, isolated, open, output_of_ip};
use lb_ctl::config::model::Mode;
use lb_ctl::datapath::{AttachMode, DatapathError};
use std::fs;
use std::path::Path;

const PAIR: &str = "link add left type veth peer name right";

/// How an XDP program is attached, as `ip` says it (`xdp` is native), and its id.
fn xdp_of(interface: &str) -> Option<(String, String)> {
    let output = output_of_ip(&format!("-details link show {interface}"));
    let text = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    let mode = words.iter().find(|word| matches!(**word, "xdp" | "xdpgeneric" | "xdpoffload"))?;
    let program = words.iter().position(|word| *word == "prog/xdp")?;
    Some(((*mode).to_owned(), words[program + 2].to_owned()))
}

fn links(bpffs: &Path) -> Vec<String> {
    let entries = fs::read_dir(bpffs.join("lb/links")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_new_program_takes_the_place_of_the_old_one_in_its_link() {
    isolated(|bpffs| {
        ip(PAIR);
        let mut first = open(bpffs).unwrap();
        let attached = first.attach("left", Mode::Auto).unwrap();
        assert_eq!((attached.mode, attached.refusal), (AttachMode::Native, None));
        let (mode, old) = xdp_of("left").unwrap();
        assert_eq!(mode, "xdp");
        drop(first);
        assert_eq!(xdp_of("left").unwrap().1, old);
        let mut second = open(bpffs).unwrap();
        assert_eq!(second.replaced().unwrap(), ["left"]);
        assert_eq!(second.attach("left", Mode::Native).unwrap().mode, AttachMode::Native);
        assert!(second.replaced().unwrap().is_empty());
        let new = xdp_of("left").unwrap().1;
        assert_ne!(new, old);
        second.attach("left", Mode::Auto).unwrap();
        assert_eq!(xdp_of("left").unwrap().1, new);
        assert_eq!(links(bpffs), ["left"]);
    });
}

#[test]
fn detaching_takes_the_program_off_whoever_holds_the_link() {
    isolated(|bpffs| {
        ip(PAIR);
        let mut datapath = open(bpffs).unwrap();
        datapath.attach("left", Mode::Auto).unwrap();
        datapath.detach("left").unwrap();
        assert_eq!(xdp_of("left"), None);
        assert_eq!((datapath.attachments().unwrap(), links(bpffs)), (vec![], vec![]));
        let error = datapath.detach("left").unwrap_err();
        assert!(matches!(error, DatapathError::NotAttached { .. }), "{error}");
    });
}

#[test]
fn the_mode_can_be_changed_and_auto_leaves_it() {
    isolated(|bpffs| {
        ip(PAIR);
        let mut datapath = open(bpffs).unwrap();
        for (wanted, mode, shown) in [
            (Mode::Generic, AttachMode::Generic, "xdpgeneric"),
            (Mode::Auto, AttachMode::Generic, "xdpgeneric"),
            (Mode::Native, AttachMode::Native, "xdp"),
            (Mode::Auto, AttachMode::Native, "xdp"),
            (Mode::Generic, AttachMode::Generic, "xdpgeneric"),
        ] {
            assert_eq!(datapath.attach("left", wanted).unwrap().mode, mode, "{wanted:?}");
            assert_eq!(xdp_of("left").unwrap().0, shown, "{wanted:?}");
            let attachments = datapath.attachments().unwrap();
            assert_eq!(
                attachments.iter().map(|(_, attached)| attached.mode).collect::<Vec<_>>(),
                [mode],
                "{wanted:?}"
            );
        }
    });
}

#[test]
fn a_driver_without_xdp_is_reported_and_auto_falls_back() {
    isolated(|bpffs| {
        ip("link add switch type bridge");
        let mut datapath = open(bpffs).unwrap();
        let error = datapath.attach("switch", Mode::Native).unwrap_err();
        let text = "cannot attach to switch in native mode: the driver of switch has no XDP support";
        assert_eq!(error.to_string(), text);
        assert_eq!(error.hint().unwrap(), "`--mode generic` works on every interface, at lower speed");
        assert_eq!(xdp_of("switch"), None);
        let attached = datapath.attach("switch", Mode::Auto).unwrap();
        assert_eq!((attached.mode, attached.refusal.as_deref()), (AttachMode::Generic, Some(text)));
    });
}

#[test]
fn an_interface_that_came_back_is_attached_anew() {
    isolated(|bpffs| {
        ip(PAIR);
        let mut datapath = open(bpffs).unwrap();
        let old = datapath.attach("left", Mode::Auto).unwrap();
        ip("link delete left");
        assert_eq!(datapath.attachments().unwrap(), []);
        ip("link add other type bridge");
        ip(PAIR);
        assert_eq!(datapath.attachments().unwrap(), []);
        let new = datapath.attach("left", Mode::Auto).unwrap();
        assert_ne!(new.ifindex, old.ifindex);
        assert_eq!(datapath.attachments().unwrap(), [("left".to_owned(), new)]);
    });
}

#[test]
fn several_interfaces_are_attached_at_once() {
    isolated(|bpffs| {
        ip(PAIR);
        let mut datapath = open(bpffs).unwrap();
        datapath.attach("right", Mode::Auto).unwrap();
        datapath.attach("left", Mode::Generic).unwrap();
        let names: Vec<_> =
            datapath.attachments().unwrap().into_iter().map(|(name, at)| (name, at.mode)).collect();
        let expected = [("left", AttachMode::Generic), ("right", AttachMode::Native)];
        assert_eq!(names, expected.map(|(name, mode)| (name.to_owned(), mode)));
    });
}

#[test]
fn the_program_of_another_is_left_alone() {
    isolated(|bpffs| {
        ip(PAIR);
        fs::create_dir(bpffs.join("alien")).unwrap();
        open(&bpffs.join("alien")).unwrap().attach("left", Mode::Auto).unwrap();
        let (_, alien) = xdp_of("left").unwrap();
        let mut datapath = open(bpffs).unwrap();
        for mode in [Mode::Auto, Mode::Native, Mode::Generic] {
            let error = datapath.attach("left", mode).unwrap_err();
            let text =
                format!("cannot attach to left: another XDP program is attached to it (program id {alien})");
            assert_eq!(error.to_string(), text, "{mode:?}");
        }
        assert_eq!(xdp_of("left").unwrap().1, alien);
        assert_eq!(links(bpffs), Vec::<String>::new());
    });
}

#[test]
fn an_unknown_interface_is_named() {
    isolated(|bpffs| {
        let error = open(bpffs).unwrap().attach("eth7", Mode::Auto).unwrap_err();
        assert_eq!(error.to_string(), "cannot attach to eth7: there is no such interface");
    });
}
