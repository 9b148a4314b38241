//! Tells the segment which MAC address a VIP has: gratuitous ARP (RFC 5227, section 3) and the unsolicited neighbour
//! advertisement (RFC 4861, section 7.2.6).

use super::Mac;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const BROADCAST: Mac = [0xff; 6];
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ARP: [u8; 2] = [0x08, 0x06];
const IPV6: [u8; 2] = [0x86, 0xdd];

/// Sends the frame that says that `address` has the MAC address `mac`, once, on the interface `ifindex`.
///
/// # Errors
///
/// The kernel's, if it refuses the socket (needs `CAP_NET_RAW`) or the interface is down.
pub fn announce(ifindex: u32, mac: Mac, address: IpAddr) -> io::Result<()> {
    let frame = match address {
        IpAddr::V4(v4) => gratuitous_arp(mac, v4),
        IpAddr::V6(v6) => neighbour_advertisement(mac, v6),
    };
    send(ifindex, &frame)
}

/// An ARP request with the same address as sender and target.
fn gratuitous_arp(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    let octets = address.octets();
    let parts: [&[u8]; 8] =
        [&BROADCAST, &mac, &ARP, &[0, 1, 0x08, 0, 6, 4, 0, 1], &mac, &octets, &[0; 6], &octets];
    parts.concat()
}

/// Override flag set: neighbours replace the MAC address that they have.
fn neighbour_advertisement(mac: Mac, address: Ipv6Addr) -> Vec<u8> {
    let target = address.octets();
    let all_nodes = ALL_NODES.octets();
    let option: [&[u8]; 2] = [&[2, 1], &mac];
    let mut message = [&[136, 0, 0, 0, 0x20, 0, 0, 0], target.as_slice(), &option.concat()].concat();
    let pseudo_header: [&[u8]; 4] = [&target, &all_nodes, &[0, 0, 0, 32, 0, 0, 0, 58], &message];
    let checksum = internet_checksum(&pseudo_header.concat()).to_be_bytes();
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&checksum);
    }
    let header: [&[u8]; 6] =
        [&ALL_NODES_MAC, &mac, &IPV6, &[0x60, 0, 0, 0, 0, 32, 58, 255], &target, &all_nodes];
    [header.concat(), message].concat()
}

/// RFC 1071 over an even number of bytes.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let words = bytes.as_chunks::<2>().0.iter().map(|pair| u64::from(u16::from_be_bytes(*pair)));
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

fn send(ifindex: u32, frame: &[u8]) -> io::Result<()> {
    // SAFETY: the arguments are plain numbers.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: sockaddr_ll is made of numbers, for which zero is a value.
    let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    to.sll_family = u16::try_from(libc::AF_PACKET).unwrap_or_default();
    to.sll_ifindex = i32::try_from(ifindex).map_err(io::Error::other)?;
    to.sll_halen = 6;
    let length = libc::socklen_t::try_from(size_of_val(&to)).map_err(io::Error::other)?;
    // SAFETY: `frame` and `to` are readable for the lengths that are passed, for as long as the call takes.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            (&raw const to).cast(),
            length,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
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

    #[test]
    fn an_arp_announcement_names_the_address_twice() {
        let frame = gratuitous_arp(MAC, Ipv4Addr::new(192, 0, 2, 10));
        let want = "ffffffffffff0200000000070806000108000604000102000000".to_owned()
            + "0007c000020a000000000000c000020a";
        assert_eq!(hex(&frame), want);
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
}
