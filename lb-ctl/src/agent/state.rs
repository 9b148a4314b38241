//! What the agent knows: what the operator wants, and what the host's network looks like.

use crate::config::intent::Intent;
use crate::config::model::Config;
use crate::datapath::AttachMode;
use crate::neighbour::{Link, LocalAddress, Mac, RouteError};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What the operator wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// The configuration.
    pub config: Config,
    /// What holds beside it: orders, and servers that leave.
    pub intent: Intent,
}

/// What the host's network looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Interfaces, by index.
    pub links: BTreeMap<u32, Link>,
    /// Addresses of the host.
    pub addresses: Vec<LocalAddress>,
    /// The way to each server address.
    pub ways: BTreeMap<IpAddr, Result<Way, RouteError>>,
    /// Whether an interface has the program in generic mode, behind GRO: what it sees there may be several packets in one.
    pub generic: bool,
    /// Interfaces with the program whose name is not the one in the configuration any more, which is the value.
    pub renamed: BTreeMap<u32, String>,
    /// How the program is attached, by interface.
    pub modes: BTreeMap<u32, AttachMode>,
}

/// The way to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The interface that packets leave by.
    pub ifindex: u32,
    /// The router that they go to first; `None` if the server is on-link.
    pub gateway: Option<IpAddr>,
    /// The MAC address of that router or of the server, once it is known.
    pub mac: Option<Mac>,
    /// Whether that MAC address was set for good: the kernel is not asked to keep it fresh.
    pub fixed: bool,
    /// The director's own address on this way: the source of a tunnel.
    pub source: Option<IpAddr>,
    /// Largest IP packet.
    pub mtu: u16,
}

impl Observed {
    /// The index and description of the interface called `name`.
    pub fn link(&self, name: &str) -> Option<(u32, &Link)> {
        self.links.iter().find(|(_, link)| link.name == name).map(|(index, link)| (*index, link))
    }

    /// The index of an interface by the name that the configuration has for it, which it may have lost since.
    pub fn configured(&self, name: &str) -> Option<u32> {
        let renamed = self.renamed.iter().find(|(_, old)| *old == name).map(|(index, _)| *index);
        renamed.or_else(|| self.link(name).map(|(index, _)| index))
    }

    /// The name of an interface; its number if it is gone.
    pub fn link_name(&self, ifindex: u32) -> String {
        self.links.get(&ifindex).map_or_else(|| format!("interface {ifindex}"), |link| link.name.clone())
    }

    /// The way to `address`, if there is one.
    pub fn way(&self, address: IpAddr) -> Option<&Way> {
        self.ways.get(&address)?.as_ref().ok()
    }
}
