//! Services whose servers have numbers that never come back, and when each was there.

use lb_common::address::Address;
use lb_common::flow::{TCP, UDP};
use lb_common::maps::SETTING_NAT;
use lb_common::scheduler::Scheduler;
use lb_common::server::{Method, ServerState};
use lb_common::service::{ServiceKey, Timeouts};
use lb_ctl::agent::tables::{Device, Server, Service, Tables};
use lb_tests::packet::{DIRECTOR_MAC, Mac, PacketBuilder, tcp, udp};
use lb_tests::program::Action;
use lb_tests::random::Random;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// What differs between the services: method, scheduler, protocol, ports.
const SERVICES: [(Method, Scheduler, u8, &[u16]); 4] = [
    (Method::Dr, Scheduler::Wrr, TCP, &[80]),
    (Method::Nat, Scheduler::Rr, TCP, &[443, 8443]),
    (Method::Ipip, Scheduler::Wrr, UDP, &[53]),
    (Method::Nat, Scheduler::Wrr, UDP, &[123]),
];
const SERVERS: u32 = 5;

/// A server of the site: its number is in its addresses.
#[derive(Clone, Debug)]
struct Member {
    number: u32,
    weight: u32,
    state: ServerState,
}

/// The services and their present servers.
pub(super) struct Site {
    services: Vec<Vec<Member>>,
    next: u32,
}

impl Site {
    pub(super) fn new() -> Self {
        let mut site = Self { services: vec![Vec::new(); SERVICES.len()], next: 1 };
        for service in 0..SERVICES.len() {
            site.services[service] = (0..SERVERS).map(|_| site.member()).collect();
        }
        site
    }

    fn member(&mut self) -> Member {
        self.next += 1;
        Member { number: self.next - 1, weight: 1, state: ServerState::Up }
    }

    /// A service to change.
    pub(super) fn pick(random: &mut Random) -> usize {
        random.within(0..u32::try_from(SERVICES.len()).unwrap()) as usize
    }

    /// Change number `change`: replaces one server to all of them, sometimes drains or weighs another; gives how many.
    pub(super) fn change(
        &mut self,
        service: usize,
        change: u32,
        (random, history): (&mut Random, &History),
    ) -> u32 {
        let count = if random.once_in(8) { SERVERS } else { random.within(1..SERVERS) };
        for _ in 0..count {
            let gone = random.within(0..SERVERS) as usize;
            let member = self.member();
            history.replace(self.services[service][gone].number, member.number, change);
            self.services[service].remove(gone);
            self.services[service].push(member);
        }
        // The last one is new: whatever happens to the first, the service has a server.
        let first = &mut self.services[service][0];
        first.weight = random.within(1..4);
        first.state = if random.once_in(4) { ServerState::NoNew } else { ServerState::Up };
        count
    }

    pub(super) fn has(&self, service: usize, number: u32) -> bool {
        self.services[service].iter().any(|member| member.number == number)
    }

    pub(super) fn is_udp(service: usize) -> bool {
        SERVICES[service].2 == UDP
    }

    /// What the kernel should hold.
    pub(super) fn tables(&self) -> Tables {
        let services = (0..).zip(&self.services).map(|(place, members)| described(place, members));
        Tables {
            flags: SETTING_NAT,
            sample_period: 0,
            answers_per_second: 1_000_000,
            devices: [(1, Device { mac: DIRECTOR_MAC, mtu: 1_500 })].into(),
            services: services.collect(),
        }
    }

    /// The address and port of a client, which is a number.
    pub(super) fn client(number: u32) -> SocketAddr {
        let port = u16::try_from(10_000 + number % 50_000).unwrap();
        SocketAddr::new(Ipv4Addr::from_bits(0xc612_0000 + number / 50_000).into(), port)
    }

    /// The first packet of a flow of `client`, a number.
    pub(super) fn packet(service: usize, client: u32) -> PacketBuilder {
        let (_, _, protocol, ports) = SERVICES[service];
        let from = Self::client(client);
        let to = SocketAddr::new(vip(service), ports[client as usize % ports.len()]);
        if protocol == UDP { udp(from, to).payload(b"question") } else { tcp(from, to) }
    }

    pub(super) fn services(&self) -> usize {
        self.services.len()
    }
}

fn vip(service: usize) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, u8::try_from(service).unwrap() + 1).into()
}

fn described(place: usize, members: &[Member]) -> Service {
    let (method, scheduler, protocol, ports) = SERVICES[place];
    let address = Address::from(vip(place));
    let server = |member: &Member| Server {
        pool: place.to_string(),
        name: member.number.to_string(),
        address: Address::from(IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + member.number))),
        port: 0,
        method,
        weight: member.weight,
        state: member.state,
        leaving: false,
        next_hop: Some((1, mac(member.number))),
        mtu: 1_500,
        source: if method == Method::Ipip { Address::from_v4([10, 255, 0, 1]) } else { Address::UNSPECIFIED },
        source_bits: 0,
    };
    Service {
        name: place.to_string(),
        keys: ports.iter().map(|port| ServiceKey::new(address, (*port).into(), protocol)).collect(),
        address,
        port: if let [port] = ports { *port } else { 0 },
        protocol,
        scheduler,
        flags: 0,
        timeouts: Timeouts::default(),
        servers: members.iter().map(server).collect(),
    }
}

fn mac(number: u32) -> Mac {
    let [_, high, middle, low] = number.to_be_bytes();
    [2, 1, 0, high, middle, low]
}

/// The number of the server that a frame was sent to; `None` if it went to none.
pub(super) fn server_of(action: u32, frame: &[u8]) -> Option<u32> {
    let [2, 1, 0, high, middle, low, ..] = frame else { return None };
    (action == Action::Tx as u32).then(|| u32::from_be_bytes([0, *high, *middle, *low]))
}

/// Which changes each server lived through, and how far the changes are.
pub(super) struct History {
    /// The change that brought the server, and the one that took it away.
    lives: Vec<(AtomicU32, AtomicU32)>,
    begun: AtomicU32,
    ended: AtomicU32,
}

impl History {
    /// Of about as many servers as there are `cycles`.
    pub(super) fn new(cycles: u32) -> Self {
        let lives = (0..cycles + 100).map(|_| (AtomicU32::new(0), AtomicU32::new(u32::MAX)));
        Self { lives: lives.collect(), begun: AtomicU32::new(0), ended: AtomicU32::new(0) }
    }

    fn replace(&self, old: u32, new: u32, change: u32) {
        self.lives[old as usize].1.store(change, SeqCst);
        self.lives[new as usize].0.store(change, SeqCst);
    }

    pub(super) fn begin(&self, change: u32) {
        self.begun.store(change, SeqCst);
    }

    pub(super) fn end(&self, change: u32) {
        self.ended.store(change, SeqCst);
    }

    /// The last change that is done.
    pub(super) fn ended(&self) -> u32 {
        self.ended.load(SeqCst)
    }

    /// The last change that may have begun to show.
    pub(super) fn begun(&self) -> u32 {
        self.begun.load(SeqCst)
    }

    /// Whether the server was there at some time between the end of change `from` and the end of change `to`.
    pub(super) fn was_there(&self, server: u32, from: u32, to: u32) -> bool {
        let (born, died) = &self.lives[server as usize];
        born.load(SeqCst) <= to && died.load(SeqCst) > from
    }
}
