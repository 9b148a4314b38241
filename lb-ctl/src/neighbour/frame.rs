//! Frames that tell and ask which MAC address an address has: ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861).

use super::Mac;
use lb_common::wire::checksum::Sum;
use std::net::{Ipv4Addr, Ipv6Addr};
use zerocopy::IntoBytes;

const BROADCAST: Mac = [0xff; 6];
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ARP: [u8; 2] = [0x08, 0x06];
const IPV6: [u8; 2] = [0x86, 0xdd];
const ICMPV6: u8 = 58;

/// Says that `address` is at `mac`: an ARP request with the same address as sender and target (RFC 5227, section 3).
pub(super) fn gratuitous_arp(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    arp_request(mac, address, address)
}

/// Asks who has `address` without saying who asks (RFC 5227, section 2.1.1): nobody's table changes by it.
pub(super) fn arp_probe(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    arp_request(mac, Ipv4Addr::UNSPECIFIED, address)
}

fn arp_request(mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let (sender, target) = (sender.octets(), target.octets());
    let fixed = [0, 1, 0x08, 0, 6, 4, 0, 1];
    let parts: [&[u8]; 8] = [&BROADCAST, &mac, &ARP, &fixed, &mac, &sender, &[0; 6], &target];
    parts.concat()
}

/// Says that `address` is at `mac` (RFC 4861, section 7.2.6). Override flag set: neighbours replace what they have.
pub(super) fn neighbour_advertisement(mac: Mac, address: Ipv6Addr) -> Vec<u8> {
    let message: [&[u8]; 3] = [&[136, 0, 0, 0, 0x20, 0, 0, 0], &address.octets(), &[2, 1]];
    icmpv6(mac, address, (ALL_NODES_MAC, ALL_NODES), &[&message.concat(), mac.as_slice()].concat())
}

/// Asks who has `address` (RFC 4861, section 7.2.2) from `source`; an unspecified source has the answer sent to everybody.
pub(super) fn neighbour_solicitation(mac: Mac, source: Ipv6Addr, address: Ipv6Addr) -> Vec<u8> {
    let [.., high, middle, low] = address.octets();
    let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, high, middle, low]);
    let mut message = [[135, 0, 0, 0, 0, 0, 0, 0].as_slice(), &address.octets()].concat();
    if !source.is_unspecified() {
        message.extend([1, 1].into_iter().chain(mac));
    }
    icmpv6(mac, source, ([0x33, 0x33, 0xff, high, middle, low], group), &message)
}

/// A frame with `message`, of even length, whose checksum is filled in.
fn icmpv6(mac: Mac, source: Ipv6Addr, (to_mac, to): (Mac, Ipv6Addr), message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    let checksum = icmpv6_sum(source, to, &message).finish();
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(checksum.as_bytes());
    }
    let length = u16::try_from(message.len()).unwrap_or_default().to_be_bytes();
    let parts: [&[u8]; 9] = [
        &to_mac,
        &mac,
        &IPV6,
        &[0x60, 0, 0, 0],
        &length,
        &[ICMPV6, 255],
        &source.octets(),
        &to.octets(),
        &message,
    ];
    parts.concat()
}

/// The sum that the checksum of `message` covers. With a right checksum in it, what it finishes to is 0.
pub(super) fn icmpv6_sum(source: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> Sum {
    let length = u16::try_from(message.len()).unwrap_or_default();
    let (source, to) = (std::net::IpAddr::V6(source).into(), std::net::IpAddr::V6(to).into());
    Sum::NONE.add_pseudo_header(&source, &to, ICMPV6, length).and(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 7];

    fn hex(frame: &[u8]) -> String {
        frame
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .collect()
    }

    /// The bytes are those of scapy 2.5.
    #[test]
    fn arp_is_the_one_that_scapy_makes() {
        let address = Ipv4Addr::new(192, 0, 2, 10);
        let start = "ffffffffffff0200000000070806000108000604000102000000";
        // ARP(op=1, hwsrc=MAC, psrc="192.0.2.10", hwdst=0, pdst="192.0.2.10")
        assert_eq!(hex(&gratuitous_arp(MAC, address)), format!("{start}0007c000020a000000000000c000020a"));
        // ARP(op=1, hwsrc=MAC, psrc="0.0.0.0", hwdst=0, pdst="192.0.2.10")
        assert_eq!(hex(&arp_probe(MAC, address)), format!("{start}000700000000000000000000c000020a"));
    }

    /// The bytes are those of scapy 2.5:
    /// `Ether(src="02:00:00:00:00:07")/IPv6(src="2001:db8::10",dst="ff02::1",hlim=255)/ICMPv6ND_NA(R=0,S=0,O=1,`
    /// `tgt="2001:db8::10")/ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:07")`.
    #[test]
    fn an_advertisement_is_the_one_that_scapy_makes() {
        let frame = neighbour_advertisement(MAC, "2001:db8::10".parse().unwrap());
        assert_eq!(
            hex(&frame),
            "33330000000102000000000786dd6000000000203aff20010db8000000000000000000000010ff0200000000000000000000000000018800f9062000000020010db80000000000000000000000100201020000000007"
        );
    }

    /// The bytes are those of scapy 2.5: `IPv6(src=SOURCE,dst="ff02::1:ff00:10",hlim=255)/ICMPv6ND_NS(tgt="2001:db8::10")`,
    /// with `ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:07")` where there is a source.
    #[test]
    fn a_solicitation_is_the_one_that_scapy_makes() {
        let rows = [
            (
                "fe80::7",
                "3333ff00001002000000000786dd6000000000203afffe800000000000000000000000000007ff0200000000000000000001ff00001087004b370000000020010db80000000000000000000000100101020000000007",
            ),
            (
                "::",
                "3333ff00001002000000000786dd6000000000183aff00000000000000000000000000000000ff0200000000000000000001ff00001087004ccf0000000020010db8000000000000000000000010",
            ),
        ];
        for (source, want) in rows {
            let frame = neighbour_solicitation(MAC, source.parse().unwrap(), "2001:db8::10".parse().unwrap());
            assert_eq!(hex(&frame), want, "{source}");
        }
    }
}
