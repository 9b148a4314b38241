//! What `ip` cannot set or tell about a device, by ioctl: its offloads and whether it runs.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use libc::{IFF_RUNNING, SIOCETHTOOL, SIOCGIFFLAGS, ifreq};

use super::{Host, wait_until};

/// A switch of an offload, the commands of linux/ethtool.h.
#[derive(Clone, Copy)]
enum Offload {
    TransmitChecksum = 0x17,
    TransmitSegmentation = 0x1f,
    GenericSegmentation = 0x24,
    GenericReceive = 0x2c,
}

/// The argument of those commands: `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// Makes `device` send complete packets and take redirected ones.
///
/// A local sender leaves checksums and segmentation to the device; veth never does either, and a program in XDP would
/// update a checksum that is not there yet. Receive offload gives veth the queue without which it drops what the peer
/// redirects to it.
pub(super) fn prepare(host: &Host, device: &str) -> Result<()> {
    use Offload::{GenericReceive, GenericSegmentation, TransmitChecksum, TransmitSegmentation};
    let switches =
        [(TransmitChecksum, 0), (TransmitSegmentation, 0), (GenericSegmentation, 0), (GenericReceive, 1)];
    host.within(|| switches.iter().try_for_each(|&(offload, data)| set(device, offload, data)))?
        .with_context(|| format!("cannot set the offloads of {device} on {}", host.name()))
}

/// Lets a veth take what its peer redirects to it, or not; without a program it takes that only with receive offload.
pub(super) fn take_redirects(host: &Host, device: &str, takes: bool) -> Result<()> {
    host.within(|| set(device, Offload::GenericReceive, u32::from(takes)))?
        .with_context(|| format!("cannot set the offloads of {device} on {}", host.name()))
}

/// Waits until `device` has its carrier and its queues.
pub(super) fn wait_running(host: &Host, device: &str) -> Result<()> {
    let what = format!("{device} of {} to run", host.name());
    wait_until(
        Duration::from_secs(5),
        &what,
        || matches!(host.within(|| flags(device)), Ok(Ok(flags)) if flags & IFF_RUNNING != 0),
    )
}

fn set(device: &str, offload: Offload, data: u32) -> io::Result<()> {
    let mut value = EthtoolValue { command: offload as u32, data };
    let mut request = request(device)?;
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    control(SIOCETHTOOL, &mut request)
}

fn flags(device: &str) -> io::Result<i32> {
    let mut request = request(device)?;
    control(SIOCGIFFLAGS, &mut request)?;
    // SAFETY: SIOCGIFFLAGS has filled this member of the union.
    Ok(i32::from(unsafe { request.ifr_ifru.ifru_flags }))
}

fn request(device: &str) -> io::Result<ifreq> {
    // SAFETY: an `ifreq` of zeros is valid in every member of its union.
    let mut request: ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero, for the name ends with one.
    let room =
        request.ifr_name.split_last_mut().map(|(_, room)| room).filter(|room| device.len() <= room.len());
    let room = room.ok_or_else(|| io::Error::other(anyhow!("{device} is too long for a device's name")))?;
    for (to, &from) in room.iter_mut().zip(device.as_bytes()) {
        *to = from.cast_signed();
    }
    Ok(request)
}

fn control(command: libc::Ioctl, request: &mut ifreq) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    // SAFETY: both commands take an `ifreq`; what it points to lives as long as the caller's frame.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), command, &raw mut *request) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
