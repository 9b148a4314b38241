//! Servers as the program sees them: 64 bytes, two words of which change in place.

use crate::address::Address;
use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Reference to a server: an index into `SERVERS` (20 bits) and the instance that is meant (8 bits).
///
/// An id is used again for another server; the generation tells the instances apart, in slots and in connections.
/// The top four bits are free. 0 means "no server".
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct ServerRef(pub u32);

impl ServerRef {
    /// No server.
    pub const NONE: Self = Self(0);
    /// Number of ids; id 0 is never given out.
    pub const MAX_SERVERS: u32 = 1 << 20;

    /// The reference to instance `generation` of server `id`.
    #[inline]
    pub const fn new(id: u32, generation: u8) -> Self {
        Self(id & (Self::MAX_SERVERS - 1) | (generation as u32) << 20)
    }

    /// Index into `SERVERS` and the servers' counters.
    #[inline]
    pub const fn id(self) -> u32 {
        self.0 & (Self::MAX_SERVERS - 1)
    }

    /// The instance.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "eight bits are meant")]
    pub const fn generation(self) -> u8 {
        (self.0 >> 20) as u8
    }
}

/// What a server may be given. Stored as a byte; an unknown byte means [`ServerState::Gone`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ServerState {
    /// Removed, or never there.
    Gone = 0,
    /// New and known flows.
    Up = 1,
    /// Known flows only: draining, weight 0, over its threshold.
    NoNew = 2,
    /// Found broken.
    Down = 3,
}

impl ServerState {
    /// The state that `byte` stands for.
    #[inline]
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Up,
            2 => Self::NoNew,
            3 => Self::Down,
            _ => Self::Gone,
        }
    }
}

/// Forwarding method. Stored as a byte; an unknown byte has no method and drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Method {
    /// Direct routing: MAC addresses only.
    Dr = 1,
    /// Network address translation, answers through the director.
    Nat = 2,
    /// IP-in-IP tunnel.
    Ipip = 3,
}

impl Method {
    /// The method that `byte` stands for.
    #[inline]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Dr),
            2 => Some(Self::Nat),
            3 => Some(Self::Ipip),
            _ => None,
        }
    }

    /// Its place among the methods, from 0 on.
    pub const fn place(self) -> usize {
        self as usize - 1
    }

    /// The word of the CLI.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dr => "dr",
            Self::Nat => "nat",
            Self::Ipip => "ipip",
        }
    }
}

/// A MAC address as one word, which is copied and compared without a loop over memory. Of six bytes one by one the compiler
/// makes six loads.
#[inline]
pub fn mac_word(mac: [u8; 6]) -> u64 {
    let (Some(low), Some(high)) = (mac.first_chunk(), mac.last_chunk()) else { return 0 };
    u64::from(u32::from_le_bytes(*low)) | u64::from(u16::from_le_bytes(*high)) << 32
}

/// The MAC address of a word.
#[inline]
pub fn mac_of(word: u64) -> [u8; 6] {
    let [mac @ .., _, _] = word.to_le_bytes();
    mac
}

/// Where a frame goes: one aligned word, so that it changes by one store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct NextHop {
    /// Destination MAC address; all zero while it is not known.
    pub mac: [u8; 6],
    /// Index into `INTERFACES` and `DEVICES`; 0 is none.
    pub device: u16,
}

impl NextHop {
    /// Whether frames can be sent there.
    #[inline]
    pub fn is_known(&self) -> bool {
        self.device != 0
    }
}

/// Value of `SERVERS`: one (service, server, port).
///
/// `next_hop` and `state` change in place, each by one aligned store; the rest is written before the first slot names
/// the server and not changed until its id is free again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Server {
    /// The way to the server, or to the router before it.
    pub next_hop: NextHop,
    /// A [`ServerState`].
    pub state: u8,
    /// A [`Method`].
    pub method: u8,
    /// The instance this entry describes.
    pub generation: u8,
    /// ipip: how many low bits of `source` differ from flow to flow, 32 at most.
    pub source_bits: u8,
    /// Largest IP packet on the way, in bytes, outer header included.
    pub mtu: u16,
    /// nat: the server's port, or 0 to keep the client's.
    pub port: U16,
    /// The server's address.
    pub address: Address,
    /// ipip: source of the outer header, or the first of a prefix of them.
    pub source: Address,
    /// The service it belongs to.
    pub service: u32,
    /// nat: the id of `address` in `NAT_HOSTS`.
    pub host: u32,
    /// Zero.
    pub reserved2: [u8; 8],
}

impl Server {
    /// The state that instance `generation` has: an entry of another instance is gone.
    #[inline]
    pub const fn state_of(&self, reference: ServerRef) -> ServerState {
        if self.generation == reference.generation() {
            ServerState::from_byte(self.state)
        } else {
            ServerState::Gone
        }
    }
}

/// Value of `INTERFACES`: a device that frames may leave by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Interface {
    /// Its index in the kernel; 0 is a free entry.
    pub ifindex: u32,
    /// Largest IP packet it carries, in bytes.
    pub mtu: u16,
    /// Its MAC address: the source of what leaves.
    pub mac: [u8; 6],
}

impl Interface {
    /// Its MAC address as a word, see [`mac_word`].
    #[inline]
    pub fn mac_word(&self) -> u64 {
        mac_word(self.mac)
    }
}

impl NextHop {
    /// The MAC address as a word, see [`mac_word`].
    #[inline]
    pub fn mac_word(&self) -> u64 {
        mac_word(self.mac)
    }
}

/// Largest number of devices: a connection remembers its client's device in a byte.
pub const MAX_DEVICES: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_keeps_id_and_generation() {
        for (id, generation) in [(1, 0), (ServerRef::MAX_SERVERS - 1, 255), (77, 128)] {
            let reference = ServerRef::new(id, generation);
            assert_eq!((reference.id(), reference.generation()), (id, generation));
            assert_eq!(reference.0 >> 28, 0);
        }
    }

    #[test]
    fn a_mac_address_survives_its_word() {
        let mac = [2, 0xff, 0, 1, 0x80, 9];
        assert_eq!(mac_of(mac_word(mac)), mac);
        assert_eq!(mac_word(mac) >> 48, 0);
        assert_eq!(Interface { ifindex: u32::MAX, mtu: u16::MAX, mac }.mac_word(), mac_word(mac));
        assert_eq!(NextHop { mac, device: u16::MAX }.mac_word(), mac_word(mac));
    }

    #[test]
    fn another_generation_is_gone() {
        let server = Server { state: ServerState::Up as u8, generation: 4, ..Server::default() };
        assert_eq!(server.state_of(ServerRef::new(1, 4)), ServerState::Up);
        assert_eq!(server.state_of(ServerRef::new(1, 3)), ServerState::Gone);
    }
}
