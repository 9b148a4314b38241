//! The builder against frames that are known, and what `describe` makes of them.

use super::*;

const CLIENT: &str = "198.51.100.7:40000";
const SERVICE: &str = "192.0.2.10:80";

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn the_example_of_rfc_1071_holds() {
    assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
}

#[test]
fn an_odd_byte_counts_as_the_upper_half_of_a_word() {
    assert_eq!(checksum(&[0x12, 0x34, 0x56]), checksum(&[0x12, 0x34, 0x56, 0x00]));
}

#[test]
fn every_header_is_described_in_a_line() {
    let frame = tcp(socket(CLIENT), socket(SERVICE)).payload(b"hello").build();
    let text = describe(&frame);
    assert_eq!(text.lines().count(), 5, "{text}");
    for word in ["59 bytes", "192.0.2.10", "40000 > 80", "flags 02", "68656c6c6f"] {
        assert!(text.contains(word), "{word} in:\n{text}");
    }
}

#[test]
fn tags_stand_between_the_addresses_and_the_type() {
    let frame = udp(socket(CLIENT), socket(SERVICE)).tag(VLAN, 7).tag(QINQ, 9).build();
    assert_eq!(frame[12..22], [0x88, 0xa8, 0, 9, 0x81, 0, 0, 7, 8, 0]);
}

#[test]
fn a_tunnel_changes_the_type_and_the_outer_protocol() {
    let outer: (IpAddr, IpAddr) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
    let inner = udp(socket(CLIENT), socket(SERVICE)).payload(&[1, 2, 3]);
    let frame = inner.clone().tunnelled(outer.0, outer.1).build();
    assert_eq!((&frame[12..14], frame[20]), (&[0x86, 0xdd][..], 4));
    assert_eq!(frame[54..], inner.build()[14..]);
}

#[test]
fn a_short_description_does_not_panic() {
    let frame = tcp(socket("[2001:db8::7]:1"), socket("[2001:db8::8]:2")).payload_len(9).build();
    for len in 0..=frame.len() {
        assert!(describe(&frame[..len]).starts_with(&format!("{len} bytes")));
    }
}
