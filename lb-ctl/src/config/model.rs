//! The desired configuration, as the file, the store and the API spell it.

pub use super::address::{Endpoint, ServerAddress, VipAddress};
pub use super::flows::{Timeouts, Track, Udp};
pub use super::limits::Limits;
pub use super::ports::Ports;
pub use super::prefix::Prefix;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;
use std::net::IpAddr;

/// Everything that the operator asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Outer sources of tunnels, at most one prefix per family; a family without one has the route's source.
    #[serde(
        default,
        rename = "tunnel-source",
        deserialize_with = "super::prefix::one_or_more",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub tunnel_sources: Vec<Prefix>,
    /// How much the tables have room for.
    #[serde(default, skip_serializing_if = "Limits::is_usual")]
    pub limits: Limits,
    /// Interfaces that the program is attached to.
    #[serde(default, rename = "interface", skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    /// VIPs with settings of their own; a service's VIP that is not listed has the defaults.
    #[serde(default, rename = "vip", skip_serializing_if = "Vec::is_empty")]
    pub vips: Vec<Vip>,
    /// Services.
    #[serde(default, rename = "service", skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// Pools of servers.
    #[serde(default, rename = "pool", skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<Pool>,
}

/// An interface that the program is attached to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Its name in the kernel.
    pub name: String,
    /// How it is attached.
    #[serde(default)]
    pub mode: Mode,
}

/// How the program is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Native where the driver can, else generic.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// In the network stack, on every interface, slower.
    Generic,
}

/// Settings of a VIP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vip {
    /// The address; a prefix length of /32 or /128 may follow it in a file.
    pub address: VipAddress,
    /// Whether the agent puts it on the interface and announces it.
    #[serde(default)]
    pub announce: Announce,
}

/// Whether a VIP is put on the interface and announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Announce {
    /// Gratuitous ARP or unsolicited neighbour advertisement.
    #[default]
    Arp,
    /// Neither: the VIP is routed to the director.
    None,
}

/// A virtual service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name, unique.
    pub name: String,
    /// The address that clients connect to.
    #[serde(deserialize_with = "vip")]
    pub vip: IpAddr,
    /// Port, list, range or any.
    pub port: Ports,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Who chooses the server of a new flow.
    #[serde(default)]
    pub scheduler: Scheduler,
    /// What the client gets when nothing can serve it.
    #[serde(default, rename = "on-failure")]
    pub on_failure: OnFailure,
    /// Whether its flows are in the table of connections.
    #[serde(default, skip_serializing_if = "is_default")]
    pub track: Track,
    /// What its UDP flows do when their slot changes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub udp: Udp,
    /// Silence after which its flows may be forgotten.
    #[serde(default, skip_serializing_if = "Timeouts::is_usual")]
    pub timeouts: Timeouts,
    /// Pools whose servers it uses, in order.
    pub pools: Vec<String>,
}

/// What a client gets that cannot be served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// A reset (TCP) or port-unreachable (UDP), rate-limited.
    #[default]
    Reject,
    /// Nothing.
    Drop,
}

/// Protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Scheduler of a service, by the words of design.md.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scheduler {
    /// Round robin.
    Rr,
    /// Weighted round robin.
    #[default]
    Wrr,
    /// Source hash.
    Sh,
    /// Maglev hash.
    Mh,
}

/// A named set of servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Its name, unique.
    pub name: String,
    /// Its servers.
    #[serde(default, rename = "server")]
    pub servers: Vec<Server>,
}

/// A server of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Its name, unique in the pool; the address when it was given none.
    pub name: String,
    /// Its address, with a port for nat.
    pub address: ServerAddress,
    /// How packets reach it.
    #[serde(default)]
    pub method: Method,
    /// Share of new connections, 0..=65535; 0 takes none.
    #[serde(default = "one", deserialize_with = "weight")]
    pub weight: u16,
}

impl Server {
    /// What makes it the server of its connections. Only nat has a port of its own.
    pub fn identity(&self) -> (IpAddr, u16, Method) {
        let port = if self.method == Method::Nat { self.address.port.unwrap_or(0) } else { 0 };
        (self.address.ip, port, self.method)
    }
}

fn vip<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpAddr, D::Error> {
    VipAddress::deserialize(deserializer).map(|VipAddress(address)| address)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

const fn one() -> u16 {
    1
}

fn weight<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let weight = i64::deserialize(deserializer)?;
    u16::try_from(weight).map_err(|_| {
        let fact = if weight < 0 { "below 0" } else { "above 65535" };
        de::Error::custom(format!("{weight} is {fact}"))
    })
}

/// Forwarding method.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Direct routing.
    #[default]
    Dr,
    /// Network address translation.
    Nat,
    /// IP-in-IP tunnel.
    Ipip,
}

impl Config {
    /// The service of this name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    /// The pool of this name.
    pub fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.name == name)
    }

    /// The services that use this pool, in order.
    pub fn users_of(&self, pool: &str) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(move |service| service.pools.iter().any(|name| name == pool))
    }

    /// The servers of a service with their pools, in the order of its pools.
    pub fn members_of(&self, service: &Service) -> impl Iterator<Item = (&str, &Server)> {
        let pools = service.pools.iter().filter_map(|name| self.pool(name));
        pools.flat_map(|pool| pool.servers.iter().map(|server| (pool.name.as_str(), server)))
    }

    /// The outer sources of tunnels to `server`, if they are not the route's.
    pub fn tunnel_source(&self, server: IpAddr) -> Option<Prefix> {
        self.tunnel_sources.iter().find(|prefix| prefix.first().is_ipv4() == server.is_ipv4()).copied()
    }

    /// How this VIP is announced.
    pub fn announce(&self, address: IpAddr) -> Announce {
        self.vips.iter().find(|vip| vip.address.0 == address).map(|vip| vip.announce).unwrap_or_default()
    }
}

impl Service {
    /// VIP, ports and protocol together.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint { vip: self.vip, port: self.port.clone(), protocol: self.protocol }
    }
}

macro_rules! words {
    ($($name:ty { $($variant:ident = $word:literal),* })*) => {$(
        impl $name {
            /// The word for it in the CLI and in JSON.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(self.word())
            }
        }
    )*};
}

words! {
    Mode { Auto = "auto", Native = "native", Generic = "generic" }
    Announce { Arp = "arp", None = "none" }
    OnFailure { Reject = "reject", Drop = "drop" }
    Protocol { Tcp = "tcp", Udp = "udp" }
    Track { Auto = "auto", Always = "always" }
    Udp { Follow = "follow", Stable = "stable" }
    Scheduler { Rr = "rr", Wrr = "wrr", Sh = "sh", Mh = "mh" }
    Method { Dr = "dr", Nat = "nat", Ipip = "ipip" }
}
