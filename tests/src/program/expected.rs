//! What a row says about one packet: the action, the packet that leaves, and every counter that moves.

use std::collections::BTreeMap;

use lb_common::counters::{Count, Traffic};
use lb_common::verdict::Reason;

/// An XDP action, by the kernel's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The program failed.
    Aborted = 0,
    /// The packet is gone.
    Drop = 1,
    /// The host gets it.
    Pass = 2,
    /// It goes out the way it came in.
    Tx = 3,
    /// It goes out of another interface.
    Redirect = 4,
}

impl Action {
    /// The action with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::Aborted, Self::Drop, Self::Pass, Self::Tx, Self::Redirect]
            .into_iter()
            .find(|action| *action as u32 == number)
    }
}

/// What happens to one packet.
#[derive(Clone, Debug)]
#[must_use]
pub struct Expected {
    pub(super) action: Action,
    /// The packet that leaves; `None` is the one that came in.
    pub(super) packet: Option<Vec<u8>>,
    reason: Reason,
    answered: bool,
    note: Option<Reason>,
    route: Option<(u32, u32)>,
    opens: bool,
    replies: bool,
}

/// The host gets the packet, byte for byte.
pub fn passes(reason: Reason) -> Expected {
    let (packet, answered, note, route, opens, replies) = (None, false, None, None, false, false);
    Expected { action: Action::Pass, packet, reason, answered, note, route, opens, replies }
}

/// Nobody gets it; what is left in the buffer does not matter.
pub fn drops(reason: Reason) -> Expected {
    Expected { action: Action::Drop, ..passes(reason) }
}

/// The client gets `packet`.
pub fn answers(reason: Reason, packet: Vec<u8>) -> Expected {
    Expected { action: Action::Tx, packet: Some(packet), answered: true, ..passes(reason) }
}

/// `packet` leaves the way it came in; service `service` and its server `server` count it.
pub fn sends(reason: Reason, service: u32, server: u32, packet: Vec<u8>) -> Expected {
    Expected { action: Action::Tx, packet: Some(packet), route: Some((service, server)), ..passes(reason) }
}

impl Expected {
    /// The flow is given its server by this packet.
    pub fn opening(mut self) -> Self {
        self.opens = true;
        self
    }

    /// The packet comes from the server.
    pub fn replied(mut self) -> Self {
        self.replies = true;
        self
    }

    /// What leaves is `packet`.
    pub fn becoming(mut self, packet: Vec<u8>) -> Self {
        self.packet = Some(packet);
        self
    }

    /// It leaves by the other interface.
    pub fn redirected(mut self) -> Self {
        self.action = Action::Redirect;
        self
    }

    /// `note` is counted beside the verdict.
    pub fn noting(mut self, note: Reason) -> Self {
        self.note = Some(note);
        self
    }

    /// The counters that a frame of `len` bytes moves.
    pub(super) fn counters(&self, len: usize) -> Counters {
        let bytes = u64::try_from(len).unwrap_or(u64::MAX);
        let count = Count { packets: 1, bytes };
        let mut counters = Counters::default();
        counters.reasons.insert((self.reason.word(), self.answered), count);
        counters.reasons.extend(self.note.map(|note| ((note.word(), false), count)));
        if let Some((service, server)) = self.route {
            let connections = u64::from(self.opens);
            let traffic = if self.replies {
                Traffic { out_packets: 1, out_bytes: bytes, ..Traffic::default() }
            } else {
                Traffic { connections, in_packets: 1, in_bytes: bytes, ..Traffic::default() }
            };
            counters.services.insert(service, traffic);
            counters.servers.insert(server, traffic);
        }
        counters
    }
}

/// Every counter that is not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// By word, and whether the client was answered.
    pub reasons: BTreeMap<(&'static str, bool), Count>,
    /// By service id.
    pub services: BTreeMap<u32, Traffic>,
    /// By server id.
    pub servers: BTreeMap<u32, Traffic>,
}

impl Counters {
    /// What was counted between `before` and this, without what did not move.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            reasons: moved(&self.reasons, &before.reasons, |now, was| Count {
                packets: now.packets.wrapping_sub(was.packets),
                bytes: now.bytes.wrapping_sub(was.bytes),
            }),
            services: moved(&self.services, &before.services, traffic_since),
            servers: moved(&self.servers, &before.servers, traffic_since),
        }
    }
}

fn traffic_since(now: Traffic, was: Traffic) -> Traffic {
    Traffic {
        connections: now.connections.wrapping_sub(was.connections),
        in_packets: now.in_packets.wrapping_sub(was.in_packets),
        in_bytes: now.in_bytes.wrapping_sub(was.in_bytes),
        out_packets: now.out_packets.wrapping_sub(was.out_packets),
        out_bytes: now.out_bytes.wrapping_sub(was.out_bytes),
    }
}

fn moved<K: Ord + Copy, V: Copy + Default + PartialEq>(
    now: &BTreeMap<K, V>,
    before: &BTreeMap<K, V>,
    since: impl Fn(V, V) -> V,
) -> BTreeMap<K, V> {
    let moves =
        now.iter().map(|(key, value)| (*key, since(*value, before.get(key).copied().unwrap_or_default())));
    moves.filter(|(_, value)| *value != V::default()).collect()
}
