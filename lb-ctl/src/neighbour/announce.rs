//! Tells the segment which MAC address a VIP has, and asks whether anybody else has it.

use super::Mac;
use super::frame::{arp_probe, gratuitous_arp, neighbour_advertisement, neighbour_solicitation};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

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

/// Asks once on the interface `ifindex` who has `address`; for IPv6 from `source`, an address of that interface.
///
/// # Errors
///
/// As [`announce`].
pub fn probe(ifindex: u32, mac: Mac, address: IpAddr, source: Ipv6Addr) -> io::Result<()> {
    let frame = match address {
        IpAddr::V4(v4) => arp_probe(mac, v4),
        IpAddr::V6(v6) => neighbour_solicitation(mac, source, v6),
    };
    send(ifindex, &frame)
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
