//! The client: requests from a machine of the lab, one connection each or many on one.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use socket2::{Domain, Socket, Type};

use crate::lab::Host;

const PATIENCE: Duration = Duration::from_secs(5);

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The header `X-Server`: who it was.
    pub server: String,
    /// The body.
    pub body: Vec<u8>,
}

/// An open connection, for several requests.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

/// Fetches `path` over a connection of its own.
///
/// # Errors
/// No connection within 5 s, or no whole answer.
pub fn get(client: &Host, address: SocketAddr, path: &str) -> Result<Reply> {
    Connection::open(client, address)?.get(path)
}

impl Connection {
    /// Connects from the machine `client`.
    ///
    /// # Errors
    /// No connection within 5 s.
    pub fn open(client: &Host, address: SocketAddr) -> Result<Self> {
        let stream = client.within(|| TcpStream::connect_timeout(&address, PATIENCE))?;
        Self::over(
            stream.with_context(|| format!("cannot connect from {} to {address}", client.name()))?,
            address,
        )
    }

    /// Connects from the machine `client` with `source` as its own address.
    ///
    /// # Errors
    /// `source` is not the machine's, or no connection within 5 s.
    pub fn open_from(client: &Host, source: IpAddr, address: SocketAddr) -> Result<Self> {
        let connect = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
            socket.connect_timeout(&address.into(), PATIENCE)?;
            io::Result::Ok(TcpStream::from(socket))
        };
        let stream = client.within(connect)?;
        Self::over(stream.with_context(|| format!("cannot connect from {source} to {address}"))?, address)
    }

    fn over(stream: TcpStream, address: SocketAddr) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE)).context("cannot set a timeout")?;
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        Ok(Self { address, stream: BufReader::new(stream) })
    }

    /// The client's own address and port.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn local_address(&self) -> Result<SocketAddr> {
        self.stream.get_ref().local_addr().context("cannot tell the connection's own address")
    }

    /// Fetches `path`; the connection stays open.
    ///
    /// # Errors
    /// No answer for 5 s, the connection broke, or the answer is not HTTP.
    pub fn get(&mut self, path: &str) -> Result<Reply> {
        self.exchange(path).with_context(|| format!("cannot get http://{}{path}", self.address))
    }

    fn exchange(&mut self, path: &str) -> Result<Reply> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (status, mut server, mut length) = (self.line()?, String::new(), 0);
        loop {
            let header = self.line()?;
            match header.split_once(": ") {
                None => break,
                Some((name, value)) if name.eq_ignore_ascii_case("x-server") => value.clone_into(&mut server),
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse()?;
                }
                Some(_) => {}
            }
        }
        let Some(status) = status.split(' ').nth(1).and_then(|code| code.parse().ok()) else {
            bail!("{status:?} is no status line");
        };
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Reply { status, server, body })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("the server closed the connection");
        }
        Ok(line.trim_end().to_owned())
    }
}
