//! The machines of a row and the wires between them, without a switch:
//!
//! ```text
//! client eth0 --- eth0 director eth1 --- eth0 server
//!        eth1 ------------------------- eth1
//! ```
//!
//! The lower wire carries the answers of `dr`, and all where nothing is between the two.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Result, anyhow};
use lb_tests::lab::site::{DEVICE, INNER_DEVICE};
use lb_tests::lab::{Host, Lab, Port};

/// The port of the service, and of every server.
pub(crate) const PORT: u16 = 80;
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);
/// What the VIP and the client are in.
pub(crate) const CLIENTS: &str = "10.1.0.0/24";
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 100);
/// The director's, on the servers' side.
pub(crate) const DIRECTOR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
/// The server's, and the client's, where nothing is between them.
pub(crate) const DIRECT: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 11);
pub(crate) const DIRECT_CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 2, 0, 100));

/// The addresses of the one machine that balancers take for so many servers.
pub(crate) fn servers() -> impl Iterator<Item = Ipv4Addr> {
    (11..=18).map(|number| Ipv4Addr::new(10, 0, 0, number))
}

/// Where clients connect to.
pub(crate) fn service() -> SocketAddr {
    SocketAddr::from((VIP, PORT))
}

/// Three machines; gone when dropped.
#[derive(Debug)]
pub(crate) struct Road {
    pub(crate) client: Host,
    pub(crate) director: Host,
    pub(crate) server: Host,
    /// The client's end at the director.
    pub(crate) near: Port,
    /// The director's end at the client.
    pub(crate) front: Port,
    /// The director's end at the server.
    pub(crate) back: Port,
    /// The server's end at the director.
    pub(crate) far: Port,
    _lab: Lab,
}

impl Road {
    /// Makes them.
    pub(crate) fn new() -> Result<Self> {
        let lab = Lab::new("bench")?;
        let (client, director, server) = (lab.host("client")?, lab.host("director")?, lab.host("server")?);
        let [(near, front), (back, far), (above, below)] = wires(
            &lab,
            [
                [(&client, DEVICE), (&director, DEVICE)],
                [(&director, INNER_DEVICE), (&server, DEVICE)],
                [(&client, INNER_DEVICE), (&server, INNER_DEVICE)],
            ],
        )?;
        near.add_address(&format!("{CLIENT}/24"))?;
        front.add_address("10.1.0.2/24")?;
        back.add_address(&format!("{DIRECTOR}/24"))?;
        servers().try_for_each(|address| far.add_address(&format!("{address}/24")))?;
        above.add_address(&format!("{DIRECT_CLIENT}/24"))?;
        below.add_address(&format!("{DIRECT}/24"))?;
        for host in [&client, &director, &server] {
            // Short connections use up the ports of a second.
            host.sysctl("net/ipv4/ip_local_port_range", "1024 65535")?;
            host.sysctl("net/ipv4/tcp_tw_reuse", "1")?;
        }
        Ok(Self { client, director, server, near, front, back, far, _lab: lab })
    }
}

/// Makes wires at the same time: each waits up to a second for its carrier.
fn wires(lab: &Lab, ends: [[(&Host, &str); 2]; 3]) -> Result<[(Port, Port); 3]> {
    let made: Vec<_> = std::thread::scope(|scope| {
        let starting = ends.map(|[one, other]| scope.spawn(move || lab.wire(one, other)));
        let ended = starting.into_iter().map(|wire| wire.join().map_err(|_| anyhow!("a thread panicked"))?);
        ended.collect::<Result<_>>()
    })?;
    made.try_into().map_err(|_| anyhow!("a wire is missing"))
}
