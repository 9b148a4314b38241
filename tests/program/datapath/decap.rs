//! The decapsulation program on interfaces, with the addresses and VIPs it was told.

use super::{ip, isolated};
use lb_ctl::config::model::Mode;
use lb_ctl::datapath::{AttachMode, DatapathError, decap};
use std::net::IpAddr;

#[test]
fn vips_add_up_and_addresses_follow_the_host() {
    isolated(|bpffs| {
        let bpffs = bpffs.join("lb");
        assert_eq!(decap::list(&bpffs).unwrap(), None);
        ip("link add left type veth peer name right");
        ip("address add 10.0.0.11/24 dev left");
        ip("-6 address add 2001:db8::11/64 dev left nodad");
        let [first, second]: [IpAddr; 2] = ["192.0.2.10", "2001:db8:1::10"].map(|text| text.parse().unwrap());
        assert_eq!(decap::attach(&bpffs, "left", Mode::Auto, &[first]).unwrap().mode, AttachMode::Native);
        ip("address delete 10.0.0.11/24 dev left");
        ip("address add 10.0.0.12/24 dev left");
        decap::attach(&bpffs, "left", Mode::Auto, &[second]).unwrap();
        let state = decap::list(&bpffs).unwrap().unwrap();
        assert_eq!(state.attachments.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["left"]);
        assert_eq!(state.vips, [first, second]);
        let addresses: Vec<String> = state.addresses.iter().map(ToString::to_string).collect();
        assert!(addresses.contains(&"10.0.0.12".to_owned()), "{addresses:?}");
        assert!(addresses.contains(&"2001:db8::11".to_owned()), "{addresses:?}");
        assert!(!addresses.contains(&"10.0.0.11".to_owned()), "{addresses:?}");
    });
}

#[test]
fn an_interface_that_was_renamed_is_listed_and_detached_by_its_new_name() {
    isolated(|bpffs| {
        let bpffs = bpffs.join("lb");
        ip("link add left type veth peer name right");
        decap::attach(&bpffs, "left", Mode::Auto, &["192.0.2.10".parse().unwrap()]).unwrap();
        ip("link set dev left name lan0");
        let listed = decap::list(&bpffs).unwrap().unwrap().attachments;
        let listed: Vec<_> = listed.iter().map(|(name, attached)| (name.as_str(), attached.mode)).collect();
        assert_eq!(listed, [("lan0", AttachMode::Native)]);
        decap::detach(&bpffs, "lan0").unwrap();
        assert_eq!(decap::list(&bpffs).unwrap(), None);
    });
}

#[test]
fn the_last_detach_leaves_nothing_pinned() {
    isolated(|bpffs| {
        let bpffs = bpffs.join("lb");
        ip("link add left type veth peer name right");
        let vip = ["192.0.2.10".parse().unwrap()];
        decap::attach(&bpffs, "left", Mode::Auto, &vip).unwrap();
        decap::attach(&bpffs, "right", Mode::Generic, &vip).unwrap();
        decap::detach(&bpffs, "left").unwrap();
        assert!(decap::list(&bpffs).unwrap().is_some());
        decap::detach(&bpffs, "right").unwrap();
        assert_eq!(decap::list(&bpffs).unwrap(), None);
        assert!(!bpffs.join("decap").exists());
        let error = decap::detach(&bpffs, "right").unwrap_err();
        assert!(matches!(error, DatapathError::NotAttached { .. }), "{error}");
    });
}
