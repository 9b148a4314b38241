//! The tables that the kernel should hold, without any kernel id: services and servers by what they are.

use crate::neighbour::Mac;
use lb_common::address::Address;
use lb_common::flow::UDP;
use lb_common::scheduler::Scheduler;
use lb_common::server::{Method, ServerState};
use lb_common::service::{FLAG_UNTRACKED, ServiceKey, Timeouts};
use std::collections::{BTreeMap, BTreeSet};

/// All that the kernel should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// `SETTING_*` bits.
    pub flags: u32,
    /// One decision in this many is sampled; 0 is none.
    pub sample_period: u32,
    /// Answers per second and CPU.
    pub answers_per_second: u32,
    /// Interfaces that packets may leave by, by index in the kernel.
    pub devices: BTreeMap<u32, Device>,
    /// Services, in the order of the configuration.
    pub services: Vec<Service>,
}

/// An interface that packets may leave by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its MAC address.
    pub mac: Mac,
    /// Largest IP packet.
    pub mtu: u16,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The keys that lead to it: all of one address and protocol.
    pub keys: BTreeSet<ServiceKey>,
    /// The VIP.
    pub address: Address,
    /// The port if it has exactly one, else 0.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: u8,
    /// Who chooses.
    pub scheduler: Scheduler,
    /// `FLAG_*` bits of the view.
    pub flags: u8,
    /// Idle times.
    pub timeouts: Timeouts,
    /// Its servers in the order of its pools, each address, port and method once.
    pub servers: Vec<Server>,
}

impl Service {
    /// Whether its flows are remembered only where a slot asks for it.
    pub const fn is_untracked(&self) -> bool {
        self.flags & FLAG_UNTRACKED != 0
    }

    /// Whether its connections are counted: all of them are remembered.
    pub fn counts(&self) -> bool {
        !self.is_untracked() || (!self.servers.is_empty() && self.servers.iter().all(|it| self.counts_of(it)))
    }

    /// Whether those to `server` are.
    pub fn counts_of(&self, server: &Server) -> bool {
        !self.is_untracked() || server.method == Method::Nat
    }

    /// Whether its flows follow their slots, instead of staying on the servers that they have.
    pub const fn is_udp(&self) -> bool {
        self.protocol == UDP
    }
}

/// A server of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its pool.
    pub pool: String,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Address,
    /// nat: its port, or 0 to keep the client's.
    pub port: u16,
    /// How packets reach it.
    pub method: Method,
    /// Its share of new connections.
    pub weight: u32,
    /// What it may be given.
    pub state: ServerState,
    /// Whether it is on its way out: the size of a table does not depend on it any more.
    pub leaving: bool,
    /// Interface and MAC address that packets to it go by, once they are known.
    pub next_hop: Option<(u32, Mac)>,
    /// Largest IP packet on the way.
    pub mtu: u16,
    /// ipip: source of the outer header.
    pub source: Address,
    /// ipip: how many low bits of `source` differ from flow to flow.
    pub source_bits: u8,
}

impl Server {
    /// Its weight for new connections: 0 while it takes none, or could not be reached.
    pub const fn effective_weight(&self) -> u32 {
        if self.is_able() { self.weight } else { 0 }
    }

    /// Whether it takes new flows.
    pub const fn is_able(&self) -> bool {
        matches!(self.state, ServerState::Up) && self.next_hop.is_some()
    }

    /// Whether it keeps no flows either.
    pub const fn is_dead(&self) -> bool {
        matches!(self.state, ServerState::Down | ServerState::Gone) || self.next_hop.is_none()
    }
}
