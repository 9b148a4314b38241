//! VIPs that are watched on a host of four interfaces.

use super::*;
use crate::neighbour::{Link, LocalAddress};

const V4: &str = "192.0.2.10";
const V6: &str = "2001:db8::10";
const OWN: Mac = [2, 0, 0, 0, 0, 2];
const OTHER: Mac = [2, 0, 0, 0, 0, 7];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn host() -> Observed {
    let link =
        |name: &str, mac, running| Link { name: name.into(), mac, mtu: 1500, running, ..Link::default() };
    let local = |ifindex, text: &str, prefix| LocalAddress { ifindex, address: ip(text), prefix };
    Observed {
        links: [
            (1, link("lo", None, true)),
            (2, link("eth0", Some(OWN), true)),
            (3, link("eth1", Some([2, 0, 0, 0, 0, 3]), true)),
            (4, link("eth2", Some([2, 0, 0, 0, 0, 4]), false)),
        ]
        .into(),
        addresses: vec![
            local(2, "2001:db8::2", 64),
            local(2, V6, 128),
            local(2, "fe80::2", 64),
            local(3, "2001:db8:1::2", 64),
        ],
        ..Observed::default()
    }
}

fn vips(rows: &[(&str, &str)]) -> Placed {
    rows.iter().map(|(vip, name)| (ip(vip), (*name).to_owned())).collect()
}

fn watch(rows: &[(&str, &str)]) -> Watch {
    let mut watch = Watch::default();
    assert_eq!(watch.follow(&vips(rows), &host()), []);
    watch
}

fn claim(address: &str, mac: Mac) -> Claim {
    Claim { address: ip(address), mac }
}

fn conflict(vip: &str, interface: &str, seen: u64) -> Conflict {
    Conflict { vip: ip(vip), mac: OTHER, interface: interface.to_owned(), seen }
}

#[test]
fn only_somebody_else_with_a_vip_on_its_segment_is_a_conflict() {
    let rows = [
        ("another has it", 2, claim(V4, OTHER), Some("eth0")),
        ("another has it, over IPv6", 2, claim(V6, OTHER), Some("eth0")),
        ("our own announcement came back", 2, claim(V4, OWN), None),
        ("another card of this host answered", 2, claim(V4, [2, 0, 0, 0, 0, 3]), None),
        ("another address", 2, claim("192.0.2.11", OTHER), None),
        ("another segment", 3, claim(V4, OTHER), None),
        ("a VIP on lo, by any segment", 3, claim("192.0.2.12", OTHER), Some("eth1")),
    ];
    for (name, ifindex, claim, want) in rows {
        let mut watch = watch(&[(V4, "eth0"), (V6, "eth0"), ("192.0.2.12", "lo")]);
        let heard = watch.hear(ifindex, claim, Instant::now(), 5);
        let want: Vec<_> =
            want.iter().map(|interface| conflict(&claim.address.to_string(), interface, 5)).collect();
        assert_eq!(heard.as_slice(), want, "{name}");
        assert_eq!(watch.conflicts().collect::<Vec<_>>(), want, "{name}");
    }
}

#[test]
fn a_conflict_is_told_once_and_ends_when_nothing_was_heard_for_minutes() {
    let (mut watch, began) = (watch(&[(V4, "eth0")]), Instant::now());
    assert!(watch.hear(2, claim(V4, OTHER), began, 5).is_some());
    let later = began + END / 2;
    assert_eq!(watch.hear(2, claim(V4, OTHER), later, 65), None);
    assert_eq!(watch.end(began + END), []);
    assert_eq!(watch.conflicts().collect::<Vec<_>>(), [conflict(V4, "eth0", 65)]);
    assert_eq!(watch.end(later + END), [conflict(V4, "eth0", 65)]);
    assert_eq!(watch.end(later + END), []);
    assert_eq!(watch.conflicts().count(), 0);
    assert!(watch.hear(2, claim(V4, OTHER), later + 2 * END, 500).is_some(), "a new one");
}

#[test]
fn a_conflict_ends_when_the_vip_is_given_up_or_moves() {
    for after in [vips(&[]), vips(&[(V4, "eth1")])] {
        let mut watch = watch(&[(V4, "eth0")]);
        watch.hear(2, claim(V4, OTHER), Instant::now(), 5);
        assert_eq!(watch.follow(&vips(&[(V4, "eth0")]), &host()), []);
        assert_eq!(watch.follow(&after, &host()), [conflict(V4, "eth0", 5)]);
        assert_eq!(watch.conflicts().count(), 0);
    }
}

#[test]
fn made_up_mac_addresses_fill_no_memory() {
    let mut watch = watch(&[(V4, "eth0")]);
    let told = (0..=255)
        .filter(|last| watch.hear(2, claim(V4, [2, 1, 0, 0, 0, *last]), Instant::now(), 5).is_some());
    assert_eq!(told.count(), OTHERS);
    assert_eq!(watch.conflicts().count(), OTHERS);
}

#[test]
fn a_new_vip_is_asked_for_three_times_and_then_now_and_then() {
    let (mut watch, began) =
        (watch(&[(V4, "eth0"), ("192.0.2.12", "lo"), ("192.0.2.13", "eth2")]), Instant::now());
    let mut asked = |seconds: u64| {
        let due = watch.due(began + Duration::from_secs(seconds));
        assert!(due.iter().all(|question| question.vip == ip(V4)), "{due:?}");
        !due.is_empty()
    };
    let seconds = (0..200).filter(|second| asked(*second));
    assert_eq!(seconds.collect::<Vec<_>>(), [0, 1, 2, 62, 122, 182]);
    watch.hear(2, claim(V4, OTHER), began, 5);
    let again = (200..240).filter(|second| !watch.due(began + Duration::from_secs(*second)).is_empty());
    assert_eq!(again.collect::<Vec<_>>(), [200, 215, 230], "more often while there is a conflict");
}

#[test]
fn many_vips_are_asked_for_one_after_another() {
    let rows: Vec<_> = (0..120).map(|last| format!("198.51.100.{last}")).collect();
    let rows: Vec<_> = rows.iter().map(|vip| (vip.as_str(), "eth0")).collect();
    let (mut watch, began) = (watch(&rows), Instant::now());
    let mut asked = |seconds: u64| watch.due(began + Duration::from_secs(seconds));
    let first: BTreeSet<_> = (0..3).flat_map(&mut asked).map(|question| question.vip).collect();
    assert_eq!(first.len(), rows.len(), "each once before one is asked for twice");
    let all: usize = (3..60).map(|seconds| asked(seconds).len()).sum();
    assert_eq!(all + 3 * QUESTIONS, 3 * rows.len());
}

#[test]
fn a_question_comes_from_an_address_of_the_interface_that_is_no_vip() {
    let source = |name: &str, host: &Observed| {
        let mut watch = Watch::default();
        watch.follow(&vips(&[(V6, name)]), host);
        watch.due(Instant::now()).first().map(|question| question.source.to_string())
    };
    let mut host = host();
    assert_eq!(source("eth0", &host).as_deref(), Some("fe80::2"));
    assert_eq!(source("eth1", &host).as_deref(), Some("2001:db8:1::2"));
    host.addresses.clear();
    assert_eq!(source("eth1", &host).as_deref(), Some("::"));
    assert_eq!(source("eth2", &host), None);
}
