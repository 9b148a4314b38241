//! Whole labs: a client, a director and servers, wired in the ways that operators wire them.
//!
//! Every network has an IPv4 and an IPv6 prefix with the same host numbers: number 11 of network 0 is `10.0.0.11` and
//! `fd00::11`.

mod address;

use std::net::IpAddr;

use anyhow::{Context, Result};

pub use address::{Clients, FAMILIES, Family};
use address::{address, both};

use super::{Host, Lab, Segment, device};

/// The device that faces the clients on a director, and the only one of every other machine but a router.
pub const DEVICE: &str = "eth0";
/// The second device of a machine: of a two-armed director, the one that faces the servers.
pub const INNER_DEVICE: &str = "eth1";

const SERVER_NET: u8 = 0;
const CLIENT_NET: u8 = 1;
const REMOTE_NET: u8 = 2;

/// The router's device at the servers behind it.
const REMOTE_BRIDGE: &str = "remote";
/// The router's table of routes for what these servers send.
const REPLIES_TABLE: u8 = 100;

const ROUTER: u8 = 1;
const DIRECTOR: u8 = 2;
const VIP: u8 = 10;
const FIRST_SERVER: u8 = 11;
const CLIENT: u8 = 100;

/// A machine behind the VIP.
#[derive(Debug, Clone)]
pub struct Server {
    /// The machine.
    pub host: Host,
    network: u8,
    number: u8,
}

/// A client, a director, servers, and a router where there is one.
#[derive(Debug)]
pub struct Site {
    /// Where the requests come from.
    pub client: Host,
    /// Where `lb-ctl` runs.
    pub director: Host,
    /// In the order of their numbers: first those beside the director, then those behind the router.
    pub servers: Vec<Server>,
    /// Between client and director, where they do not share a segment.
    pub router: Option<Host>,
    /// The lab, for what a test adds itself.
    pub lab: Lab,
    vip_network: u8,
    director_network: u8,
    sockets: Vec<Socket>,
}

/// Where a device of the director is plugged in.
#[derive(Debug)]
struct Socket {
    device: &'static str,
    network: u8,
    switch: Host,
    bridge: String,
}

impl Site {
    /// All on one segment; for `dr` and for tests of what the client sees on its own wire.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn one_segment(name: &str, servers: u8) -> Result<Self> {
        let lab = Lab::new(name)?;
        let (client, director) = (lab.host("client")?, lab.host("director")?);
        let segment = lab.segment("switch")?;
        segment.plug(&client, DEVICE, &both(SERVER_NET, CLIENT))?;
        let sockets = vec![Socket::plug(&segment, &director, DEVICE, SERVER_NET)?];
        let servers = place(&lab, &segment, SERVER_NET, FIRST_SERVER..FIRST_SERVER + servers)?;
        let (vip_network, director_network) = (SERVER_NET, SERVER_NET);
        Ok(Self { client, director, servers, router: None, vip_network, director_network, sockets, lab })
    }

    /// A one-armed director beside `near` servers, the client and `far` servers each in a network of its own behind the
    /// router, which is everybody's default gateway.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn routed(name: &str, near: u8, far: u8) -> Result<Self> {
        let lab = Lab::new(name)?;
        let (client, director, router) = (lab.host("client")?, lab.host("director")?, lab.host("router")?);
        router.forward_packets()?;
        let network = |network, bridge| {
            let segment = lab.segment_on(&router, bridge)?;
            both(network, ROUTER).iter().try_for_each(|address| router.add_address(bridge, address))?;
            anyhow::Ok(segment)
        };
        let clients = network(CLIENT_NET, "clients")?;
        clients.plug(&client, DEVICE, &both(CLIENT_NET, CLIENT))?;
        gateway(&client, CLIENT_NET, ROUTER)?;
        let beside = network(SERVER_NET, "servers")?;
        let sockets = vec![Socket::plug(&beside, &director, DEVICE, SERVER_NET)?];
        gateway(&director, SERVER_NET, ROUTER)?;
        let behind = network(REMOTE_NET, REMOTE_BRIDGE)?;
        let first_far = FIRST_SERVER + near;
        let mut servers = place(&lab, &beside, SERVER_NET, FIRST_SERVER..first_far)?;
        servers.extend(place(&lab, &behind, REMOTE_NET, first_far..first_far + far)?);
        for server in &servers {
            gateway(&server.host, server.network, ROUTER)?;
        }
        let (vip_network, director_network) = (SERVER_NET, SERVER_NET);
        let router = Some(router);
        Ok(Self { client, director, servers, router, lab, vip_network, director_network, sockets })
    }

    /// A director with one arm at the client and the VIP, the other at the servers, whose gateway it is.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn two_arms(name: &str, servers: u8) -> Result<Self> {
        Self::with_two_arms(name, servers, false)
    }

    /// As [`Site::two_arms`], for `dr`: the servers have a leg at the client too, and answer by it.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn two_arms_and_direct_replies(name: &str, servers: u8) -> Result<Self> {
        Self::with_two_arms(name, servers, true)
    }

    fn with_two_arms(name: &str, servers: u8, direct: bool) -> Result<Self> {
        let lab = Lab::new(name)?;
        let (client, director) = (lab.host("client")?, lab.host("director")?);
        let outside = lab.segment("outside")?;
        outside.plug(&client, DEVICE, &both(CLIENT_NET, CLIENT))?;
        let inside = lab.segment("inside")?;
        let sockets = vec![
            Socket::plug(&outside, &director, DEVICE, CLIENT_NET)?,
            Socket::plug(&inside, &director, INNER_DEVICE, SERVER_NET)?,
        ];
        let servers = place(&lab, &inside, SERVER_NET, FIRST_SERVER..FIRST_SERVER + servers)?;
        for server in &servers {
            if direct {
                outside.plug(&server.host, INNER_DEVICE, &both(CLIENT_NET, server.number))?;
            } else {
                gateway(&server.host, SERVER_NET, DIRECTOR)?;
            }
        }
        let (vip_network, director_network) = (CLIENT_NET, SERVER_NET);
        Ok(Self { client, director, servers, router: None, vip_network, director_network, sockets, lab })
    }

    /// Makes the director's `device` again after it was deleted: in the same segment, with the same addresses and routes,
    /// and with another MAC address.
    ///
    /// # Errors
    /// It is still there, or the director never had it.
    pub fn plug_director(&self, device: &str) -> Result<()> {
        let socket = self.sockets.iter().find(|socket| socket.device == device);
        let socket = socket.with_context(|| format!("the director has no socket for {device}"))?;
        let segment = Segment::of(&self.lab, &socket.switch, &socket.bridge);
        segment.plug(&self.director, device, &both(socket.network, DIRECTOR))?;
        if self.router.is_some() { gateway(&self.director, SERVER_NET, ROUTER) } else { Ok(()) }
    }

    /// The other end of the director's `device`: the switch, and the name of its port.
    ///
    /// # Errors
    /// The director has no such device.
    pub fn other_end(&self, device: &str) -> Result<(Host, String)> {
        let socket = self.sockets.iter().find(|socket| socket.device == device);
        let switch = &socket.with_context(|| format!("the director has no socket for {device}"))?.switch;
        // "2: eth1@if5: <...": the other end is number 5 in its namespace.
        let own = self.director.ip(&format!("-o link show dev {device}"))?;
        let number = own.split("@if").nth(1).and_then(|rest| rest.split(':').next());
        let number = number.with_context(|| format!("{device} has no other end: {own}"))?;
        let all = switch.ip("-o link show")?;
        let line = all.lines().find_map(|line| line.strip_prefix(&format!("{number}: ")));
        let port =
            line.and_then(|line| line.split('@').next()).with_context(|| format!("no {number} in {all}"))?;
        Ok((switch.clone(), port.to_owned()))
    }

    /// Takes from the other end of the director's `device` what lets it take redirected frames: its program and its
    /// receive offload. `takes` gives it the offload again.
    ///
    /// # Errors
    /// The director has no such device.
    pub fn take_redirects(&self, device: &str, takes: bool) -> Result<()> {
        let (switch, port) = self.other_end(device)?;
        switch.ip(&format!("link set dev {port} xdpdrv off"))?;
        device::take_redirects(&switch, &port, takes)
    }

    /// Lets the client speak with 65,536 addresses more; the replies find their way when all share its segment.
    ///
    /// # Errors
    /// The client has them already.
    pub fn many_clients(&self, family: Family) -> Result<Clients> {
        let clients = Clients::of(family);
        let prefix = clients.prefix();
        self.client.sysctl("net/ipv6/ip_nonlocal_bind", "1")?;
        self.client.ip(&format!("route add local {prefix} dev lo"))?;
        let others = self.servers.iter().map(|server| &server.host).chain([&self.director]);
        others.into_iter().try_for_each(|host| host.route(&prefix, self.client_address(family)))?;
        Ok(clients)
    }

    /// Sends what the servers behind the router answer through the director, as `nat` needs it.
    ///
    /// # Errors
    /// There is no router.
    pub fn route_replies_through_the_director(&self) -> Result<()> {
        let router = self.router.as_ref().context("the site has no router")?;
        for family in FAMILIES {
            let (option, director) =
                (if family == Family::V4 { "-4" } else { "-6" }, self.director_address(family));
            router.ip(&format!("{option} rule add iif {REMOTE_BRIDGE} lookup {REPLIES_TABLE}"))?;
            router.ip(&format!("{option} route add default via {director} table {REPLIES_TABLE}"))?;
        }
        Ok(())
    }

    /// The VIP, which nobody has yet: the agent gives it to the director.
    pub fn vip(&self, family: Family) -> IpAddr {
        address(self.vip_network, VIP, family)
    }

    /// The client's address.
    pub fn client_address(&self, family: Family) -> IpAddr {
        let network = if self.router.is_some() { CLIENT_NET } else { self.vip_network };
        address(network, CLIENT, family)
    }

    /// The director's own address on the servers' side.
    pub fn director_address(&self, family: Family) -> IpAddr {
        address(self.director_network, DIRECTOR, family)
    }

    /// The router's address on the director's segment.
    pub fn router_address(&self, family: Family) -> IpAddr {
        address(SERVER_NET, ROUTER, family)
    }
}

impl Socket {
    fn plug(segment: &Segment<'_>, director: &Host, device: &'static str, network: u8) -> Result<Self> {
        segment.plug(director, device, &both(network, DIRECTOR))?;
        let (switch, bridge) = segment.place();
        Ok(Self { device, network, switch, bridge })
    }
}

impl Server {
    /// The name of the machine.
    pub fn name(&self) -> &str {
        self.host.name()
    }

    /// Whether it shares a segment with the director.
    pub fn is_beside_the_director(&self) -> bool {
        self.network == SERVER_NET
    }

    /// Its own address.
    pub fn address(&self, family: Family) -> IpAddr {
        address(self.network, self.number, family)
    }
}

/// Makes the machines with these numbers, `web1` being the first of the site, and plugs them in.
fn place(lab: &Lab, segment: &Segment<'_>, network: u8, numbers: std::ops::Range<u8>) -> Result<Vec<Server>> {
    let place_one = |number: u8| {
        let host = lab.host(&format!("web{}", number - FIRST_SERVER + 1))?;
        segment.plug(&host, DEVICE, &both(network, number))?;
        Ok(Server { host, network, number })
    };
    numbers.map(place_one).collect()
}

/// Sets the machine's default routes of both families.
fn gateway(host: &Host, network: u8, number: u8) -> Result<()> {
    FAMILIES.iter().try_for_each(|&family| host.route("default", address(network, number, family)))
}
