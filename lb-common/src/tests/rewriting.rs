//! What a method writes, its reverse takes back; no prefix of a frame is more than truncated.

use super::{Frame, checksum, frame, parsed};
use crate::address::Address;
use crate::answer::{self, Answer};
use crate::flow::{TCP, UDP};
use crate::forward::{decrement_ttl, ipip, nat, nat::End, set_frame_addresses, too_big};
use crate::server::{Method, Server, mac_word};
use crate::verdict::Reason;
use proptest::prelude::*;
use std::vec::Vec;
use zerocopy::network_endian::U16;

const KINDS: [(bool, u8); 4] = [(false, TCP), (false, UDP), (true, TCP), (true, UDP)];

fn server_address(v6: bool) -> Address {
    if v6 { Address::from_v6([0xfd; 16]) } else { Address::from_v4([10, 0, 0, 12]) }
}

/// Whether the checksums of IP header and of TCP, UDP or ICMP are right.
fn checksums_hold(frame: &Frame) -> bool {
    let bytes = &frame.0;
    let v6 = bytes[12..14] == [0x86, 0xdd];
    let (l4, protocol, addresses) =
        if v6 { (54, bytes[20], &bytes[22..54]) } else { (34, bytes[23], &bytes[26..34]) };
    let mut covered = Vec::new();
    if protocol != 1 {
        covered.extend_from_slice(addresses);
        covered.extend([0, protocol]);
        covered.extend(u16::try_from(bytes.len() - l4).unwrap().to_be_bytes());
    }
    covered.extend_from_slice(&bytes[l4..]);
    (v6 || checksum(&bytes[14..34]) == 0) && checksum(&covered) == 0
}

#[test]
fn every_prefix_of_a_frame_is_truncated() {
    for (v6, protocol) in KINDS {
        let whole = frame(v6, protocol, b"payload");
        assert!(parsed(&whole).is_ok());
        for len in 0..whole.0.len() {
            let reason = parsed(&Frame(whole.0[..len].to_vec())).unwrap_err();
            assert_eq!(reason, Reason::Truncated, "v6 {v6} protocol {protocol} length {len}");
        }
    }
}

#[test]
fn nat_keeps_checksums_right() {
    for (v6, protocol) in KINDS {
        let mut frame = frame(v6, protocol, b"odd");
        assert!(checksums_hold(&frame));
        let packet = parsed(&frame).unwrap();
        nat::forward(&mut frame, &packet, End::Destination, &server_address(v6), U16::new(8080)).unwrap();
        assert!(checksums_hold(&frame), "v6 {v6} protocol {protocol}");
        let after = parsed(&frame).unwrap();
        assert_eq!(
            (after.destination, after.destination_port, after.ttl),
            (server_address(v6), U16::new(8080), 63)
        );
    }
}

#[test]
fn a_udp_checksum_of_zero_stays_zero() {
    let mut frame = frame(false, UDP, b"x");
    frame.0[40..42].fill(0);
    let packet = parsed(&frame).unwrap();
    nat::forward(&mut frame, &packet, End::Destination, &server_address(false), U16::new(53)).unwrap();
    assert_eq!(frame.0[40..42], [0, 0]);
}

#[test]
fn a_udp_checksum_that_comes_out_as_zero_is_sent_as_ones() {
    for v6 in [false, true] {
        let mut ones = 0;
        for word in 0..=u16::MAX {
            let mut frame = frame(v6, UDP, &word.to_be_bytes());
            let checksum = if v6 { 60..62 } else { 40..42 };
            if frame.0[checksum.clone()] == [0, 0] {
                continue;
            }
            let packet = parsed(&frame).unwrap();
            nat::forward(&mut frame, &packet, End::Source, &server_address(v6), U16::new(53)).unwrap();
            assert_ne!(frame.0[checksum.clone()], [0, 0], "v6 {v6} payload {word}");
            ones += u32::from(frame.0[checksum] == [0xff, 0xff]);
        }
        assert_eq!(ones, 1, "v6 {v6}: one word makes the sum zero");
    }
}

#[test]
fn an_answer_is_whole_and_addressed_to_the_client() {
    let answers = [Answer::Reset, Answer::Unreachable, Answer::TimeExceeded, Answer::TooBig(1400)];
    for ((v6, protocol), answer) in KINDS.into_iter().flat_map(|kind| answers.map(|answer| (kind, answer))) {
        if answer == Answer::Reset && protocol == UDP {
            continue;
        }
        let mut frame = frame(v6, protocol, &[7; 300]);
        let packet = parsed(&frame).unwrap();
        answer::write(&mut frame, &packet, answer).unwrap();
        assert!(checksums_hold(&frame), "{answer:?} v6 {v6} protocol {protocol}");
        assert_eq!(frame.0[12..14], if v6 { [0x86, 0xdd] } else { [8, 0] });
        let address = if v6 { 38..54 } else { 30..34 };
        let client = if v6 { packet.source.octets().to_vec() } else { packet.source.v4().to_vec() };
        assert_eq!(frame.0[address], client[..]);
    }
}

#[test]
fn too_big_counts_the_outer_header() {
    let packet = parsed(&frame(false, TCP, &[0; 1441])).unwrap();
    assert_eq!(packet.ip_len, 1481);
    let rows = [
        (1500, Method::Dr, false, None),
        (1500, Method::Nat, false, None),
        (1500, Method::Ipip, false, Some(1480)),
        (1500, Method::Ipip, true, Some(1460)),
        (1481, Method::Dr, false, None),
        (1480, Method::Dr, false, Some(1480)),
        (1501, Method::Ipip, false, None),
        (1521, Method::Ipip, true, None),
        (1520, Method::Ipip, true, Some(1480)),
        (30, Method::Ipip, true, Some(0)),
        (0, Method::Ipip, true, None),
    ];
    for (mtu, method, v6, want) in rows {
        let server = Server { mtu, address: server_address(v6), ..Server::default() };
        assert_eq!(too_big(&packet, method, &server), want, "{mtu} {method:?} v6 {v6}");
    }
}

#[test]
fn a_tunnel_source_varies_inside_its_prefix_only() {
    let rows = [
        (Address::from_v4([10, 9, 8, 0]), 0, Address::from_v4([10, 9, 8, 0])),
        (Address::from_v4([10, 9, 8, 0]), 8, Address::from_v4([10, 9, 8, 0xef])),
        (Address::from_v4([10, 0, 0, 0]), 24, Address::from_v4([10, 0xad, 0xbe, 0xef])),
        (Address::from_v6([0xfd; 16]), 32, {
            let mut octets = [0xfd; 16];
            octets[12..].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
            Address::from_v6(octets)
        }),
    ];
    for (source, source_bits, want) in rows {
        let server = Server { source_bits, source, ..Server::default() };
        assert_eq!(ipip::outer_source(&server, 0xdead_beef), want, "{source_bits} bits");
    }
}

proptest! {
    #[test]
    fn nat_there_and_back_is_the_identity_but_for_the_ttl(kind in 0..4_usize, payload: Vec<u8>, port in 1..u16::MAX) {
        let (v6, protocol) = KINDS[kind];
        let before = frame(v6, protocol, &payload);
        let mut there = before.clone();
        let packet = parsed(&there).unwrap();
        nat::forward(&mut there, &packet, End::Destination, &server_address(v6), U16::new(port)).unwrap();
        let translated = parsed(&there).unwrap();
        nat::forward(&mut there, &translated, End::Destination, &packet.destination, packet.destination_port).unwrap();
        let mut want = before;
        decrement_ttl(&mut want, packet.family).unwrap();
        decrement_ttl(&mut want, packet.family).unwrap();
        prop_assert!(checksums_hold(&there));
        prop_assert_eq!(there, want);
    }

    #[test]
    fn a_tunnel_gives_back_what_went_in(kind in 0..4_usize, outer_v6: bool, payload in prop::collection::vec(any::<u8>(), 0..600)) {
        let (v6, protocol) = KINDS[kind];
        let before = frame(v6, protocol, &payload);
        let packet = parsed(&before).unwrap();
        let server = Server { address: server_address(outer_v6), source: server_address(outer_v6), ..Server::default() };
        let mut there = before.clone();
        ipip::encapsulate(&mut there, &packet, &server).unwrap();
        set_frame_addresses(&mut there, mac_word([2, 0, 0, 0, 0, 2]), mac_word([2, 0, 0, 0, 0, 1])).unwrap();
        prop_assert_eq!(there.0.len(), before.0.len() + if outer_v6 { 40 } else { 20 });
        let tunnelled = ipip::tunnelled(&there).unwrap();
        prop_assert_eq!((tunnelled.outer, tunnelled.inner), (server.address, packet.destination));
        ipip::decapsulate(&mut there, &tunnelled).unwrap();
        prop_assert_eq!(there, before);
    }

    #[test]
    fn any_bytes_are_parsed_or_passed(bytes: Vec<u8>) {
        let frame = Frame(bytes);
        if let Ok(packet) = parsed(&frame) {
            prop_assert!(packet.ip_len as usize + 14 <= frame.0.len());
        }
        ipip::tunnelled(&frame).ok();
    }
}
