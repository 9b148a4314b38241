//! Hears who claims addresses: ARP and neighbour advertisements of every interface, and no other packet.

use super::Claim;
use nix::sys::socket::{LinkAddr, recvfrom};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::io;
use std::os::fd::AsRawFd;
use tokio::io::unix::AsyncFd;

/// Bytes that are taken of a frame; none that is listened to has as many.
const TAKEN: usize = 256;

/// A classic BPF instruction (`linux/filter.h`).
const fn load_byte(at: u32) -> SockFilter {
    SockFilter::new(0x30, 0, 0, at)
}

/// Goes on if the byte is `value`, else over the next `otherwise` instructions.
const fn if_equal(value: u32, otherwise: u8) -> SockFilter {
    SockFilter::new(0x15, 0, otherwise, value)
}

const fn take(bytes: u32) -> SockFilter {
    SockFilter::new(0x06, 0, 0, bytes)
}

/// `ICMPv6` (58) of type neighbour advertisement (136) directly behind the IPv6 header. Ethernet's header is 14 bytes.
const ADVERTISEMENTS: [SockFilter; 6] =
    [load_byte(14 + 6), if_equal(58, 3), load_byte(14 + 40), if_equal(136, 1), take(256), take(0)];

/// Hears claims.
///
/// The sockets take one Ethernet protocol each. They see what arrives, and not what this host sends.
#[derive(Debug)]
pub struct Listener {
    arp: AsyncFd<Socket>,
    advertisements: AsyncFd<Socket>,
}

impl Listener {
    /// Begins to listen in this network namespace. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// The kernel's, if it refuses the sockets (needs `CAP_NET_RAW`).
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            arp: open(libc::ETH_P_ARP, &[])?,
            advertisements: open(libc::ETH_P_IPV6, &ADVERTISEMENTS)?,
        })
    }

    /// The next claim, with the index of the interface that it came in by.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub async fn next(&self) -> io::Result<(u32, Claim)> {
        tokio::select! {
            heard = hear(&self.arp) => heard,
            heard = hear(&self.advertisements) => heard,
        }
    }
}

fn open(protocol: libc::c_int, filter: &[SockFilter]) -> io::Result<AsyncFd<Socket>> {
    let protocol = u16::try_from(protocol).map_err(io::Error::other)?.to_be();
    let socket =
        Socket::new(Domain::PACKET, Type::RAW.nonblocking(), Some(Protocol::from(i32::from(protocol))))?;
    if !filter.is_empty() {
        // What came before the filter is judged by `Claim::read` alone, as everything else is too.
        socket.attach_filter(filter)?;
    }
    // SAFETY: a socket has one descriptor, which it closes when it is dropped and not before.
    unsafe { AsyncFd::register(socket) }.map_err(io::Error::from)
}

async fn hear(socket: &AsyncFd<Socket>) -> io::Result<(u32, Claim)> {
    let mut frame = [0; TAKEN];
    loop {
        let mut ready = socket.readable().await?;
        let Ok(received) = ready.try_io(|socket| Ok(recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut frame)?))
        else {
            continue;
        };
        let (length, from) = received?;
        let claim = frame.get(..length).and_then(Claim::read);
        let ifindex = from.and_then(|from| u32::try_from(from.ifindex()).ok());
        if let Some(heard) = ifindex.zip(claim) {
            return Ok(heard);
        }
    }
}
