//! The tables that rows are measured with, and the packets: one service with some servers, as the agent would write them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, Result};
use lb_common::address::Address;
use lb_common::bench::Layout;
use lb_common::flow::{TCP, UDP};
use lb_common::maps::SETTING_NAT;
use lb_common::scheduler::Scheduler;
use lb_common::server::{Method, ServerState};
use lb_common::service::{FLAG_SILENT, FLAG_UNTRACKED, ServiceKey, Timeouts};
use lb_ctl::agent::ids::Quarantine;
use lb_ctl::agent::reconcile::{Moment, Pace, reconcile};
use lb_ctl::agent::tables::{Device, Server, Service, Tables};
use lb_ctl::datapath::Datapath;
use lb_tests::packet::{ACK, CLIENT_MAC, DIRECTOR_MAC, Mac, PacketBuilder, tcp, udp};

use crate::harness::Packets;

/// Ethernet, IPv6, TCP, and as much as the recipe of a frame holds.
const LEAST: usize = 84;
const PORT: u16 = 80;

/// What rows are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) scheduler: Scheduler,
    pub(crate) method: Method,
    pub(crate) v6: bool,
    pub(crate) udp: bool,
    pub(crate) servers: u16,
}

/// A packet of a client, or of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first of a flow: a SYN, or a datagram.
    First,
    /// A later one.
    Later,
    /// A later one, of a server to a client.
    Reply,
    /// One for another port of the VIP, which no service has.
    NotOurs,
}

impl Site {
    /// The same tables as the agent would write for this site beside `services` others.
    pub(crate) fn tables(self, others: u16) -> Tables {
        let mut services = vec![self.service(self.vip(), self.servers)];
        let other = Site { scheduler: Scheduler::Wrr, ..self };
        services.extend((0..others).map(|number| other.service(self.other_vip(number), 1)));
        Tables {
            flags: if self.method == Method::Nat { SETTING_NAT } else { 0 },
            sample_period: 0,
            answers_per_second: 0,
            devices: BTreeMap::from([(1, Device { mac: DIRECTOR_MAC, mtu: 1_500 })]),
            services,
        }
    }

    fn service(self, vip: IpAddr, servers: u16) -> Service {
        let (address, protocol) = (Address::from(vip), if self.udp { UDP } else { TCP });
        Service {
            name: vip.to_string(),
            keys: [ServiceKey::new(address, PORT.into(), protocol)].into(),
            address,
            port: PORT,
            protocol,
            scheduler: self.scheduler,
            flags: FLAG_SILENT | self.untracked(),
            timeouts: Timeouts { syn: u32::MAX / 4, udp: u32::MAX / 4, ..Timeouts::default() },
            servers: (0..servers).map(|number| self.server(vip, number)).collect(),
        }
    }

    /// As it is by default.
    const fn untracked(self) -> u8 {
        if matches!(self.scheduler, Scheduler::Mh | Scheduler::Sh) { FLAG_UNTRACKED } else { 0 }
    }

    fn server(self, vip: IpAddr, number: u16) -> Server {
        let tunnelled = self.method == Method::Ipip;
        Server {
            pool: vip.to_string(),
            name: number.to_string(),
            address: self.address(number).into(),
            port: 0,
            method: self.method,
            weight: 1,
            state: ServerState::Up,
            leaving: false,
            next_hop: Some((1, mac(number))),
            mtu: 1_500,
            source: if tunnelled { self.director().into() } else { Address::UNSPECIFIED },
            source_bits: 0,
        }
    }

    fn pick(self, v4: [u8; 4], v6: u16) -> IpAddr {
        if self.v6 {
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, v6).into()
        } else {
            Ipv4Addr::from(v4).into()
        }
    }

    fn vip(self) -> IpAddr {
        self.pick([192, 0, 2, 10], 0x10)
    }

    fn other_vip(self, number: u16) -> IpAddr {
        let [high, low] = number.to_be_bytes();
        if self.v6 {
            Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, number).into()
        } else {
            Ipv4Addr::new(203, 0, high, low).into()
        }
    }

    fn director(self) -> IpAddr {
        self.pick([10, 255, 0, 1], 0x1)
    }

    fn address(self, number: u16) -> IpAddr {
        let [high, low] = number.to_be_bytes();
        self.pick([10, 0, high, low], 0x1000 + number)
    }

    /// Flow 0's: the harness adds the flow to the last byte of the address and to the port.
    fn client(self) -> SocketAddr {
        SocketAddr::new(self.pick([198, 18, 0, 0], 0x100), 0x400)
    }

    /// The packets of a row.
    pub(crate) fn packets(self, kind: Kind, flows: u32) -> Packets {
        let layout = match (self.v6, kind == Kind::Reply) {
            (false, false) => Layout::V4,
            (false, true) => Layout::V4Reply,
            (true, false) => Layout::V6,
            (true, true) => Layout::V6Reply,
        };
        Packets { frame: self.packet(kind).build(), layout, flows }
    }

    fn packet(self, kind: Kind) -> PacketBuilder {
        let vip = |port| SocketAddr::new(self.vip(), port);
        match kind {
            Kind::First => self.between(self.client(), vip(PORT), 0x02),
            Kind::Later => self.between(self.client(), vip(PORT), ACK),
            Kind::NotOurs => self.between(self.client(), vip(PORT + 1), ACK),
            Kind::Reply => self.between(SocketAddr::new(self.address(0), PORT), self.client(), ACK),
        }
    }

    fn between(self, from: SocketAddr, to: SocketAddr, flags: u8) -> PacketBuilder {
        let headers = 14 + if self.v6 { 40 } else { 20 } + if self.udp { 8 } else { 20 };
        let packet = if self.udp { udp(from, to) } else { tcp(from, to).flags(flags) };
        packet.payload_len(LEAST - headers)
    }

    /// The frames that a packet of flow 0 may leave as.
    pub(crate) fn expected(self, kind: Kind) -> Vec<Vec<u8>> {
        let packet = self.packet(kind).ttl(63);
        match kind {
            Kind::NotOurs => vec![self.packet(kind).build()],
            Kind::Reply => {
                let reply = self.between(SocketAddr::new(self.vip(), PORT), self.client(), ACK).ttl(63);
                vec![reply.macs(DIRECTOR_MAC, CLIENT_MAC).build()]
            }
            Kind::First | Kind::Later => {
                (0..self.servers).map(|number| self.sent(&packet, kind, number)).collect()
            }
        }
    }

    fn sent(self, packet: &PacketBuilder, kind: Kind, number: u16) -> Vec<u8> {
        let flags = if kind == Kind::First { 0x02 } else { ACK };
        let packet = match self.method {
            Method::Dr => packet.clone(),
            Method::Nat => {
                self.between(self.client(), SocketAddr::new(self.address(number), PORT), flags).ttl(63)
            }
            Method::Ipip => packet.clone().tunnelled(self.director(), self.address(number)),
        };
        packet.macs(DIRECTOR_MAC, mac(number)).build()
    }
}

fn mac(number: u16) -> Mac {
    let [high, low] = number.to_be_bytes();
    [2, 1, 0, 0, high, low]
}

/// Loads the program with tables of these sizes, and writes `tables` as the agent does.
pub(crate) fn load(entries: &[(&'static str, u32)], tables: &Tables) -> Result<Datapath> {
    written(Datapath::open_unpinned_with(entries)?, tables)
}

/// The program with `tables`, written as the agent does.
pub(crate) fn written(mut datapath: Datapath, tables: &Tables) -> Result<Datapath> {
    let moment = Moment { quarantine: &Quarantine::default(), pace: Pace::Whole, now: 0 };
    let plan = reconcile(tables, &datapath.snapshot()?, moment).context("the tables are too small")?;
    datapath.apply(&plan.writes)?;
    Ok(datapath)
}
