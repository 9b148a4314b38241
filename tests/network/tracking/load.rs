//! Sends each flow's packets, several within its idle timeout, and tells the oracle where they came back to.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use lb_tests::lab::site::{DEVICE, Family};
use lb_tests::packet::{ACK, Mac, SYN, checksum, tcp};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

use super::flows::{Came, Flows, SERVERS};
use super::site::{Pool, client_of, server_mac};
use crate::support::PORT;

/// A flow sends this often.
const PERIOD: Duration = Duration::from_secs(2);
/// Silence, of this process's own making, after which nothing can be said of a flow.
const TOO_LONG: Duration = Duration::from_secs(4);
/// Bytes that frames may wait in.
const BUFFER: usize = 64 << 20;

/// Threads that send and receive.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<Result<()>>,
    receiver: JoinHandle<Result<()>>,
}

impl Load {
    pub(super) fn start(pool: &Pool, flows: &Arc<Flows>) -> Result<Self> {
        let client = &pool.balanced.site.client;
        let socket = Arc::new(client.within(open)?.context("cannot open a packet socket")?);
        let stop = Arc::new(AtomicBool::new(false));
        let frame = Frame::new(pool)?;
        let threads = (Arc::clone(&socket), Arc::clone(flows), Arc::clone(&stop));
        let sender = thread::spawn(move || send(&threads.0, &threads.1, &threads.2, frame));
        let threads = (socket, Arc::clone(flows), Arc::clone(&stop));
        let receiver = thread::spawn(move || receive(&threads.0, &threads.1, &threads.2));
        Ok(Self { stop, sender, receiver })
    }

    /// Ends both.
    pub(super) fn stop(self) -> Result<()> {
        self.stop.store(true, Relaxed);
        for thread in [self.sender, self.receiver] {
            thread.join().map_err(|_| anyhow!("a thread of the load broke"))??;
        }
        Ok(())
    }
}

fn open() -> io::Result<Socket> {
    let ipv4 = i32::from(u16::to_be(0x0800));
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(ipv4)))?;
    let index = nix::net::if_::if_nametoindex(DEVICE)?;
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: the storage is as large as any address, and all of its bytes are zero.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::sa_family_t::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    address.sll_protocol = u16::to_be(0x0800);
    address.sll_ifindex = i32::try_from(index).map_err(io::Error::other)?;
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).map_err(io::Error::other)?;
    // SAFETY: it is an address of that family and length.
    socket.bind(&unsafe { SockAddr::new(storage, length) })?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBufForce, &BUFFER)?;
    let on: libc::c_int = 1;
    // SAFETY: the option takes a number.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_IGNORE_OUTGOING,
            (&raw const on).cast(),
            libc::socklen_t::try_from(size_of_val(&on)).map_err(io::Error::other)?,
        )
    };
    if result == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

/// A frame of a client to the service, which differs from flow to flow in a few bytes.
struct Frame {
    syn: Vec<u8>,
    ack: Vec<u8>,
}

impl Frame {
    fn new(pool: &Pool) -> Result<Self> {
        let site = &pool.balanced.site;
        let (client, director) = (Pool::mac_of(&site.client)?, Pool::mac_of(&site.director)?);
        let service = (site.vip(Family::V4), PORT).into();
        let of = |flags| tcp((client_of(0), 0).into(), service).flags(flags).macs(client, director).build();
        Ok(Self { syn: of(SYN), ack: of(ACK) })
    }

    /// The frame of a connection of `flow`. A bridge looks at the checksum of IP, and nobody at that of TCP.
    fn of(&mut self, flow: usize, incarnation: u16, opens: bool) -> &[u8] {
        let frame = if opens { &mut self.syn } else { &mut self.ack };
        frame[26..30].copy_from_slice(&client_of(flow).octets());
        frame[34..36].copy_from_slice(&port_of(incarnation).to_be_bytes());
        frame[24..26].fill(0);
        let sum = checksum(&frame[14..34]).to_be_bytes();
        frame[24..26].copy_from_slice(&sum);
        frame
    }
}

/// The client's port of a connection.
pub(super) const fn port_of(incarnation: u16) -> u16 {
    1_024 + incarnation % 60_000
}

fn send(socket: &Socket, flows: &Flows, stop: &AtomicBool, mut frame: Frame) -> Result<()> {
    let count = flows.count();
    let mut sent: Vec<Option<(u16, Instant)>> = vec![None; count];
    let (began, mut number) = (Instant::now(), 0);
    while !stop.load(Relaxed) {
        let due = began.elapsed().as_micros() * count as u128 / PERIOD.as_micros();
        if number as u128 >= due {
            thread::park_timeout(Duration::from_millis(1));
            continue;
        }
        let flow = number % count;
        number += 1;
        if sent[flow].is_some_and(|(_, when)| when.elapsed() > TOO_LONG) {
            flows.begin_anew(flow);
        }
        let incarnation = flows.incarnation(flow);
        let opens = sent[flow].is_none_or(|(last, _)| last != incarnation);
        sent[flow] = Some((incarnation, Instant::now()));
        socket.send(frame.of(flow, incarnation, opens)).context("cannot send a frame")?;
    }
    Ok(())
}

fn receive(socket: &Socket, flows: &Flows, stop: &AtomicBool) -> Result<()> {
    let mut buffer = [std::mem::MaybeUninit::<u8>::uninit(); 2_048];
    while !stop.load(Relaxed) {
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind()) => {
                continue;
            }
            Err(error) => return Err(error).context("cannot receive a frame"),
        };
        // SAFETY: the kernel has written as many bytes.
        let frame = unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), length) };
        if let Some((flow, incarnation, came)) = understood(frame) {
            flows.judge(flow, incarnation, came);
        }
    }
    Ok(())
}

/// Which connection a frame is of that came back, and where it goes.
fn understood(frame: &[u8]) -> Option<(usize, u16, Came)> {
    const RST: u8 = 0x04;
    let word = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(frame.get(at..at + 4)?).ok()?));
    let flow = |address: Ipv4Addr| {
        let flow = address.to_bits().checked_sub(client_of(0).to_bits())?;
        usize::try_from(flow).ok()
    };
    let to: Mac = frame.get(..6)?.try_into().ok()?;
    match (0..SERVERS).find(|server| server_mac(*server) == to) {
        Some(server) => Some((flow(address(26)?)?, word(34)?.checked_sub(1_024)?, Came::To(server))),
        None if frame.get(47)? & RST != 0 => {
            Some((flow(address(30)?)?, word(36)?.checked_sub(1_024)?, Came::Reset))
        }
        None => None,
    }
}
