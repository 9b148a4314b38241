//! The tables of a test: services and servers as the agent would write them, with ids that a row can name.

use std::net::{IpAddr, SocketAddr};

use lb_common::address::Address;
use lb_common::counters::Settings;
use lb_common::maps::{SCHEMA_VERSION, SETTING_ANY_PORT, SETTING_NAT};
use lb_common::scheduler::{Member, Scheduler};
use lb_common::server::{Interface, Method, NextHop, Server, ServerRef, ServerState};
use lb_common::service::{ServiceKey, SlotRange, Timeouts, View};
use lb_common::slots::Slot;
use lb_ctl::datapath::tables::Write;

use crate::packet::{DIRECTOR_MAC, Mac};

/// The MAC address of the director's second interface.
pub const SECOND_MAC: Mac = [2, 0, 0, 0, 0, 0xd2];
/// The device of the interface that test packets come in by: `lo`, as `BPF_PROG_TEST_RUN` has it.
pub const FIRST: u16 = 1;
/// The device of another interface; it needs [`super::second_interface`].
pub const SECOND: u16 = 2;
/// The interface number of [`SECOND`].
pub const SECOND_IFINDEX: u32 = 7;
/// The generation that every server starts with.
pub const GENERATION: u8 = 1;

/// Services with their servers. The first service has id 1, the first server of the first service has id 1.
#[derive(Clone, Debug)]
#[must_use]
pub struct World {
    pub(super) services: Vec<Service>,
    answers_per_second: u32,
    second: bool,
}

/// A service.
#[derive(Clone, Debug)]
#[must_use]
pub struct Service {
    vip: SocketAddr,
    protocol: u8,
    ports: Vec<u16>,
    scheduler: Scheduler,
    flags: u8,
    timeouts: Timeouts,
    pub(super) servers: Vec<ServerSpec>,
}

/// A server of a service.
#[derive(Clone, Debug)]
#[must_use]
pub struct ServerSpec {
    pub(super) address: IpAddr,
    pub(super) weight: u32,
    entry: Server,
}

/// The service of `protocol` (6 or 17) at `vip`, scheduled by wrr, without servers.
pub fn service(protocol: u8, vip: SocketAddr) -> Service {
    let (scheduler, timeouts) = (Scheduler::Wrr, Timeouts::default());
    Service { vip, protocol, ports: vec![vip.port()], scheduler, flags: 0, timeouts, servers: Vec::new() }
}

/// A server that is up, of weight 1, behind the first interface, at the MAC address [`mac_of`] its own.
pub fn server(method: Method, address: IpAddr) -> ServerSpec {
    let entry = Server {
        next_hop: NextHop { mac: mac_of(address), device: FIRST },
        state: ServerState::Up as u8,
        method: method as u8,
        generation: GENERATION,
        mtu: 1500,
        address: address.into(),
        ..Server::default()
    };
    ServerSpec { address, weight: 1, entry }
}

/// The MAC address of the machine with this address: it ends as the address does, written as it is written.
pub fn mac_of(address: IpAddr) -> Mac {
    let last = match address {
        IpAddr::V4(address) => address.octets()[3] / 10 * 16 + address.octets()[3] % 10,
        IpAddr::V6(address) => address.octets()[15],
    };
    [2, 0, 0, 0, 0, last]
}

impl World {
    /// A world with these services.
    pub fn new(services: impl IntoIterator<Item = Service>) -> Self {
        Self { services: services.into_iter().collect(), answers_per_second: 1_000, second: false }
    }

    /// Sets how many answers the director gives a second.
    pub fn answers_per_second(mut self, answers: u32) -> Self {
        self.answers_per_second = answers;
        self
    }

    /// Adds the second interface; the caller has made it with [`super::second_interface`].
    pub fn with_second_interface(mut self) -> Self {
        self.second = true;
        self
    }

    /// The servers with their ids and the ids of their services.
    pub(super) fn servers(&self) -> impl Iterator<Item = (u32, u32, &ServerSpec)> {
        let services = (1..).zip(&self.services);
        let servers =
            services.flat_map(|(service, spec)| spec.servers.iter().map(move |server| (service, server)));
        (1..).zip(servers).map(|(id, (service, server))| (id, service, server))
    }

    /// Everything but slots and views, in the order that the agent keeps: what is named comes first.
    pub(super) fn foundation(&self) -> Vec<Write> {
        let mut writes = vec![self.settings(), interface(FIRST, 1, DIRECTOR_MAC)];
        writes.extend(self.second.then(|| interface(SECOND, SECOND_IFINDEX, SECOND_MAC)));
        for (id, service, server) in self.servers() {
            let address = Address::from(server.address);
            let nat = server.entry.method == Method::Nat as u8;
            // The first server at an address gives its id to the host.
            let first = self.servers().find(|(_, _, other)| other.address == server.address);
            let host = first.filter(|_| nat).map_or(0, |(first, _, _)| first);
            writes.extend(nat.then_some(Write::NatHost(address, Some(host))));
            writes.push(Write::Server(id, Server { service, host, ..server.entry }));
        }
        writes
    }

    fn settings(&self) -> Write {
        let any = self.services.iter().any(|service| service.ports == [0]);
        let flags = SETTING_NAT | if any { SETTING_ANY_PORT } else { 0 };
        let (schema, answers_per_second) = (SCHEMA_VERSION, self.answers_per_second);
        Write::Settings(Settings { schema, flags, answers_per_second, ..Settings::default() })
    }

    /// The slots of service `id` when its servers have these weights.
    pub(super) fn slots(&self, id: u32, service: &Service, weights: &[u32]) -> Vec<Slot> {
        let servers = self.servers().filter(|(_, owner, _)| *owner == id).zip(weights);
        let members = servers.map(|((server, _, spec), weight)| Member {
            server: ServerRef::new(server, GENERATION),
            weight: *weight,
            address: spec.address.into(),
            port: spec.entry.port.get(),
        });
        service.scheduler.fill(&members.collect::<Vec<_>>()).into_iter().map(Slot::settled).collect()
    }
}

fn interface(device: u16, ifindex: u32, mac: Mac) -> Write {
    Write::Interface(device, Interface { ifindex, mtu: 1500, mac })
}

impl Service {
    /// Adds a server.
    pub fn with(mut self, server: ServerSpec) -> Self {
        self.servers.push(server);
        self
    }

    /// Sets the scheduler.
    pub fn scheduler(mut self, scheduler: Scheduler) -> Self {
        self.scheduler = scheduler;
        self
    }

    /// Sets `FLAG_*` bits.
    pub fn flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    /// Sets the idle times.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets the ports; 0 alone is any port.
    pub fn ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports = ports.into_iter().collect();
        self
    }

    /// The view of the service with these slots.
    pub(super) fn view(&self, slots: SlotRange) -> View {
        let port = if let [port] = self.ports[..] { port } else { 0 };
        View {
            address: self.vip.ip().into(),
            slots,
            timeouts: self.timeouts,
            port: port.into(),
            protocol: self.protocol,
            pick: self.scheduler.pick() as u8,
            flags: self.flags,
            scheduler: self.scheduler as u8,
            ..View::default()
        }
    }

    /// The keys that lead to the service.
    pub(super) fn keys(&self) -> impl Iterator<Item = ServiceKey> {
        let (address, protocol) = (self.vip.ip().into(), self.protocol);
        self.ports.iter().map(move |port| ServiceKey::new(address, (*port).into(), protocol))
    }
}

impl ServerSpec {
    /// Sets the weight; 0 leaves it without slots.
    pub fn weight(self, weight: u32) -> Self {
        Self { weight, ..self }
    }

    /// Sets the state.
    pub fn state(mut self, state: ServerState) -> Self {
        self.entry.state = state as u8;
        self
    }

    /// Sets the port of a nat server.
    pub fn port(mut self, port: u16) -> Self {
        self.entry.port = port.into();
        self
    }

    /// Sets the outer source of an ipip server.
    pub fn source(mut self, source: IpAddr) -> Self {
        self.entry.source = source.into();
        self
    }

    /// Sets how many low bits of the outer source differ from flow to flow.
    pub fn source_bits(mut self, bits: u8) -> Self {
        self.entry.source_bits = bits;
        self
    }

    /// Sets the MTU of the way there.
    pub fn mtu(mut self, mtu: u16) -> Self {
        self.entry.mtu = mtu;
        self
    }

    /// Sets the device; 0 is a next hop that is not known.
    pub fn device(mut self, device: u16) -> Self {
        self.entry.next_hop.device = device;
        self
    }
}
