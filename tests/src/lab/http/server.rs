//! The server: its name at `/`, and `N` bytes of the [`Pattern`] at `/bytes/N`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::{Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use nix::sys::socket;

use crate::lab::{Host, Pattern};

/// A running HTTP server on a machine of the lab, on every address of it; stops when dropped.
#[derive(Debug)]
pub struct Server {
    listener: Arc<TcpListener>,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    stopping: AtomicBool,
    served: AtomicU64,
    connections: Mutex<BTreeMap<u64, TcpStream>>,
}

impl Server {
    /// Starts one on `port`, IPv4 and IPv6; it calls itself by the machine's name.
    ///
    /// # Errors
    /// The port is taken.
    pub fn start(host: &Host, port: u16) -> Result<Self> {
        let listener = Arc::new(host.within(|| listen(host.name(), port))??);
        let shared = Arc::new(Shared::new(host.name()));
        let acceptor = std::thread::spawn({
            let (listener, shared) = (Arc::clone(&listener), Arc::clone(&shared));
            move || accept(&listener, &shared)
        });
        Ok(Self { listener, shared, acceptor: Some(acceptor) })
    }

    /// How many requests were answered.
    pub fn served(&self) -> u64 {
        self.shared.served.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Ends the acceptor's wait; the thread then ends its connections.
        socket::shutdown(self.listener.as_raw_fd(), socket::Shutdown::Both).ok();
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().ok();
        }
    }
}

/// Serves as `name` on `port` of the network that this process is in, until the process ends.
///
/// # Errors
/// The port is taken, or the listening socket broke.
pub fn serve_here(name: &str, port: u16) -> Result<Infallible> {
    accept(&listen(name, port)?, &Arc::new(Shared::new(name)));
    bail!("{name} accepts no more connections on port {port}");
}

fn listen(name: &str, port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .with_context(|| format!("cannot listen on port {port} of {name}"))
}

impl Shared {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            stopping: AtomicBool::new(false),
            served: AtomicU64::new(0),
            connections: Mutex::default(),
        }
    }

    fn with_connections<T>(&self, work: impl FnOnce(&mut BTreeMap<u64, TcpStream>) -> T) -> T {
        work(&mut self.connections.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for number in 0.. {
        let Ok((stream, _)) = listener.accept() else { break };
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        let shared = Arc::clone(shared);
        threads.push(std::thread::spawn(move || {
            // A client that goes away in the middle is its own business.
            serve(&stream, number, &shared).ok();
            shared.with_connections(|connections| connections.remove(&number));
        }));
    }
    shared.with_connections(|connections| {
        for stream in connections.values() {
            stream.shutdown(Shutdown::Both).ok();
        }
    });
    for thread in threads {
        thread.join().ok();
    }
}

fn serve(stream: &TcpStream, number: u64, shared: &Shared) -> io::Result<()> {
    let clone = stream.try_clone()?;
    shared.with_connections(|connections| connections.insert(number, clone));
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream).lines();
    let mut answer = BufWriter::new(stream);
    while let Some(request) = lines.next().transpose()? {
        let mut closing = false;
        // The first empty line ends the headers.
        for header in lines.by_ref() {
            let header = header?.to_ascii_lowercase();
            closing |= header == "connection: close";
            if header.is_empty() {
                break;
            }
        }
        // Counted before the answer, so that a client that has it finds it counted.
        shared.served.fetch_add(1, Ordering::Relaxed);
        respond(&mut answer, &request, &shared.name)?;
        if closing || shared.stopping.load(Ordering::SeqCst) {
            break;
        }
    }
    Ok(())
}

fn respond(answer: &mut impl Write, request: &str, name: &str) -> io::Result<()> {
    let path = request.split(' ').nth(1).unwrap_or_default();
    if path == "/" {
        let page = format!("{name}\n");
        head(answer, "200 OK", name, page.len() as u64)?;
        answer.write_all(page.as_bytes())?;
    } else if let Some(length) = path.strip_prefix("/bytes/").and_then(|length| length.parse().ok()) {
        head(answer, "200 OK", name, length)?;
        Pattern::default().copy_to(answer, length)?;
    } else {
        head(answer, "404 Not Found", name, 0)?;
    }
    answer.flush()
}

fn head(answer: &mut impl Write, status: &str, name: &str, length: u64) -> io::Result<()> {
    write!(answer, "HTTP/1.1 {status}\r\nX-Server: {name}\r\nContent-Length: {length}\r\n\r\n")
}
