//! Who says on a segment that an address is his, as read from a frame that anybody may have sent.

use super::Mac;
use super::frame::icmpv6_sum;
use lb_common::wire::ethernet::{self, EthernetHeader};
use lb_common::wire::ipv6::Ipv6Header;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

const ARP: u16 = 0x0806;
const ETHERNET: u16 = 1;
const ICMPV6: u8 = 58;
const ADVERTISEMENT: u8 = 136;
/// What did not cross a router (RFC 4861, section 7.1.2).
const ON_LINK: u8 = 255;
const TARGET_MAC: u8 = 2;

/// A claim to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The address.
    pub address: IpAddr,
    /// Where it is said to be.
    pub mac: Mac,
}

/// ARP for IPv4 on Ethernet (RFC 826).
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Arp {
    hardware: U16,
    protocol: U16,
    hardware_length: u8,
    protocol_length: u8,
    operation: U16,
    sender_mac: Mac,
    sender: [u8; 4],
}

/// A neighbour advertisement (RFC 4861, section 4.4), without its options.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Advertisement {
    kind: u8,
    code: u8,
    checksum: U16,
    flags: [u8; 4],
    target: [u8; 16],
}

impl Claim {
    /// What an Ethernet frame claims: the sender of an ARP packet, or the target of a neighbour advertisement.
    ///
    /// `None` for everything else and for what a host has to ignore. An ARP probe, which has no sender, claims nothing.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let (ethernet, rest) = EthernetHeader::ref_from_prefix(frame).ok()?;
        let claim = match ethernet.ether_type.get() {
            ARP => arp(rest)?,
            ethernet::IPV6 => advertisement(ethernet.source, rest)?,
            _ => return None,
        };
        let [first, ..] = claim.mac;
        let is_group = first & 1 != 0;
        (!claim.address.is_unspecified() && !is_group && claim.mac != [0; 6]).then_some(claim)
    }
}

fn arp(packet: &[u8]) -> Option<Claim> {
    let (arp, _) = Arp::ref_from_prefix(packet).ok()?;
    let kind = (arp.hardware.get(), arp.protocol.get(), arp.hardware_length, arp.protocol_length);
    let known = kind == (ETHERNET, ethernet::IPV4, 6, 4) && [1, 2].contains(&arp.operation.get());
    known.then_some(Claim { address: Ipv4Addr::from(arp.sender).into(), mac: arp.sender_mac })
}

fn advertisement(source: Mac, packet: &[u8]) -> Option<Claim> {
    let (ip, rest) = Ipv6Header::ref_from_prefix(packet).ok()?;
    let message = rest.get(..usize::from(ip.payload_len.get()))?;
    let (advertisement, options) = Advertisement::ref_from_prefix(message).ok()?;
    let known = (ip.version(), ip.next_header, ip.hop_limit) == (6, ICMPV6, ON_LINK)
        && (advertisement.kind, advertisement.code) == (ADVERTISEMENT, 0)
        && message.len().is_multiple_of(2)
        && icmpv6_sum(ip.source.into(), ip.destination.into(), message).finish() == 0;
    let mac = target_mac(options, source)?;
    known.then_some(Claim { address: Ipv6Addr::from(advertisement.target).into(), mac })
}

/// The MAC address among options (RFC 4861, section 4.6), each as long as its second byte says in units of eight bytes.
///
/// `otherwise` if there is none; `None` if an option has no length or is cut short.
fn target_mac(mut options: &[u8], otherwise: Mac) -> Option<Mac> {
    while let [kind, units, ..] = options {
        let length = usize::from(*units) * 8;
        let option = options.get(..length).filter(|option| !option.is_empty())?;
        if *kind == TARGET_MAC {
            return option.get(2..8)?.try_into().ok();
        }
        options = options.get(length..)?;
    }
    options.is_empty().then_some(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neighbour::frame;
    use proptest::prelude::*;

    const OTHER: Mac = [2, 0, 0, 0, 0, 9];
    /// Of scapy 2.5: `ARP(op=2, hwsrc=OTHER, psrc="192.0.2.10", hwdst=MAC, pdst="192.0.2.2")`.
    const REPLY: &str =
        "02000000000702000000000908060001080006040002020000000009c000020a020000000007c0000202";
    /// Of scapy 2.5: `IPv6(src="2001:db8::10",dst="fe80::7",hlim=255)/ICMPv6ND_NA(R=0,S=1,O=1,tgt="2001:db8::10")`.
    const BARE: &str = "02000000000702000000000986dd6000000000183aff20010db8000000000000000000000010fe8000000000000000000000000000078800bd926000000020010db8000000000000000000000010";
    /// The same with `ICMPv6NDOptDstLLAddr(lladdr=OTHER)`.
    const ADVERTISED: &str = "02000000000702000000000986dd6000000000203aff20010db8000000000000000000000010fe8000000000000000000000000000078800b9806000000020010db80000000000000000000000100201020000000009";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    fn claim(address: &str) -> Claim {
        Claim { address: address.parse().unwrap(), mac: OTHER }
    }

    #[test]
    fn who_answers_or_announces_claims_the_address() {
        let (v4, v6) = (Ipv4Addr::new(192, 0, 2, 10), "2001:db8::10".parse().unwrap());
        let rows = [
            ("an ARP reply", bytes(REPLY), "192.0.2.10"),
            ("a gratuitous request", frame::gratuitous_arp(OTHER, v4), "192.0.2.10"),
            ("an advertisement without options", bytes(BARE), "2001:db8::10"),
            ("an advertisement", bytes(ADVERTISED), "2001:db8::10"),
            ("an unsolicited one", frame::neighbour_advertisement(OTHER, v6), "2001:db8::10"),
            ("with padding behind it", [bytes(REPLY), vec![0; 18]].concat(), "192.0.2.10"),
            ("with a trailer", [bytes(ADVERTISED), vec![0xff; 4]].concat(), "2001:db8::10"),
        ];
        for (name, frame, want) in rows {
            assert_eq!(Claim::read(&frame), Some(claim(want)), "{name}");
        }
    }

    #[test]
    fn what_claims_nothing_is_ignored() {
        let changed = |frame: &str, at: usize, to: u8| {
            let mut frame = bytes(frame);
            frame[at] = to;
            frame
        };
        let rows = [
            ("an ARP probe", frame::arp_probe(OTHER, Ipv4Addr::new(192, 0, 2, 10))),
            (
                "a solicitation",
                frame::neighbour_solicitation(OTHER, Ipv6Addr::UNSPECIFIED, "2001:db8::10".parse().unwrap()),
            ),
            ("IPv4", changed(REPLY, 13, 0)),
            ("another kind of ARP", changed(REPLY, 15, 6)),
            ("ARP for another protocol", changed(REPLY, 17, 6)),
            ("a longer MAC address", changed(REPLY, 18, 8)),
            ("a longer address", changed(REPLY, 19, 16)),
            ("reverse ARP", changed(REPLY, 21, 3)),
            ("a group's MAC address", changed(REPLY, 22, 1)),
            ("UDP", changed(ADVERTISED, 20, 17)),
            ("what crossed a router", changed(ADVERTISED, 21, 254)),
            ("another message", changed(ADVERTISED, 54, 134)),
            ("another code", changed(ADVERTISED, 55, 1)),
            ("a wrong checksum", changed(ADVERTISED, 56, 0)),
            ("more than there is", changed(ADVERTISED, 19, 33)),
            ("an option of no length", changed(ADVERTISED, 79, 0)),
            ("an option that is cut short", changed(ADVERTISED, 79, 2)),
        ];
        for (name, frame) in rows {
            assert_eq!(Claim::read(&frame), None, "{name}");
        }
    }

    #[test]
    fn every_truncation_claims_nothing() {
        for (frame, whole) in [(REPLY, 32), (BARE, 78), (ADVERTISED, 86)] {
            let frame = bytes(frame);
            for length in 0..whole {
                assert_eq!(Claim::read(&frame[..length]), None, "{length} of {whole}");
            }
            assert!(Claim::read(&frame[..whole]).is_some());
        }
    }

    proptest! {
        #[test]
        fn random_bytes_do_no_harm(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
            Claim::read(&frame);
        }

        #[test]
        fn frames_with_random_changes_do_no_harm(
            which in 0..3_usize,
            changes in proptest::collection::vec((0..90_usize, any::<u8>()), 1..8),
        ) {
            let mut frame = bytes([REPLY, BARE, ADVERTISED][which]);
            for (at, to) in changes {
                if let Some(byte) = frame.get_mut(at) {
                    *byte = to;
                }
            }
            Claim::read(&frame);
        }
    }
}
