//! What a server behind `ipip` shows.

use super::*;
use crate::api::{DecapInterface, DecapStatus};

#[test]
fn decap_tells_what_it_takes() {
    let interface = |name: &str, attached: Option<AttachedMode>, persistent| DecapInterface {
        name: name.into(),
        ifindex: attached.map(|_| 2),
        attached,
        persistent,
    };
    let warning = Warning { message: "nothing supervises it".into(), hint: Some("start it".into()) };
    let status = DecapStatus {
        interfaces: vec![
            interface("eth0", Some(AttachedMode::Native), true),
            interface("eth1", Some(AttachedMode::Generic), false),
            interface("eth2", None, true),
        ],
        supervisor: Some(4711),
        vips: vec!["192.0.2.10".parse().unwrap(), "2001:db8::10".parse().unwrap()],
        addresses: vec!["10.0.0.11".parse().unwrap()],
        reasons: vec![ReasonCount::new(Reason::Decapsulated, false, Count { packets: 7, bytes: 700 })],
        warnings: vec![warning],
    };
    let both = [decap::status(&status), decap::status(&DecapStatus::default())];
    insta::assert_snapshot!(plain(&both.join("----\n")));
}
