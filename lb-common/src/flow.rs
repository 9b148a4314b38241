//! The key of a connection: which client talks to which service, or which server answers it.
//!
//! docs/decisions/0001-flow-key.md says why the service's id stands for its VIP and protocol.

use crate::address::{Address, KeyWords};
use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;

const REPLY: u32 = 1 << 31;
const REPLY_UDP: u32 = 1 << 30;

/// Who owns the server-side end of a flow.
///
/// A service id for what clients send: it implies VIP and protocol. For what a nat server answers, the id of its host
/// with the protocol, because a host's answers name no service. The two never meet: the top bit tells them apart.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Owner(pub u32);

impl Owner {
    /// The service `id`, for a client's packets.
    #[inline]
    pub const fn service(id: u32) -> Self {
        Self(id & !(REPLY | REPLY_UDP))
    }

    /// The nat host `id`, for a server's answers over `protocol` (TCP or UDP).
    #[inline]
    pub const fn host(id: u32, protocol: u8) -> Self {
        Self(id & !(REPLY | REPLY_UDP) | REPLY | if protocol == UDP { REPLY_UDP } else { 0 })
    }

    /// Whether the flow runs from a server to a client.
    #[inline]
    pub const fn is_reply(self) -> bool {
        self.0 & REPLY != 0
    }

    /// The protocol of a reply flow.
    #[inline]
    pub const fn reply_protocol(self) -> u8 {
        if self.0 & REPLY_UDP == 0 { TCP } else { UDP }
    }

    /// The service id, or the host id of a reply flow.
    #[inline]
    pub const fn id(self) -> u32 {
        self.0 & !(REPLY | REPLY_UDP)
    }
}

/// Key of `CONNECTIONS` and `HALF_OPEN`: 24 bytes, no padding.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct FlowKey {
    /// The client's address.
    pub client: Address,
    /// The client's port.
    pub client_port: U16,
    /// The port on the other end: the VIP's for a client's packets, the server's for its answers.
    pub port: U16,
    /// The other end.
    pub owner: Owner,
}

impl FlowKey {
    /// The flow of `client` and its port to `port` of `owner`.
    #[inline]
    pub const fn new(client: Address, client_port: U16, port: U16, owner: Owner) -> Self {
        let ports: u32 = zerocopy::transmute!([client_port, port]);
        zerocopy::transmute!(KeyWords { address: client, end: zerocopy::transmute!([ports, owner.0]) })
    }

    /// A hash of the client's address and, with `with_ports`, of both ports.
    ///
    /// The same on every director: no seed, the bytes as they are on the wire, and the service's id is left out because
    /// directors number their services on their own. `vip` takes its place.
    #[inline]
    pub fn hash(&self, vip: &Address, with_ports: bool) -> u32 {
        let (client_high, client_low) = self.client.in_memory();
        let client = times(client_high, FACTORS[0]).wrapping_add(times(client_low, FACTORS[1]));
        if !with_ports {
            return finish(client);
        }
        let (vip_high, vip_low) = vip.in_memory();
        let ports: u32 = zerocopy::transmute!([self.client_port, self.port]);
        let vip = times(vip_high, FACTORS[2]).wrapping_add(times(vip_low, FACTORS[3]));
        finish(client.wrapping_add(vip).wrapping_add(u64::from(u32::from_le(ports)).wrapping_mul(FACTORS[4])))
    }
}

/// Odd numbers without a pattern: the first digits of the fractions of square roots of primes, as in SHA-512 (FIPS 180-4).
///
/// The products are independent of each other, so that a processor makes them at the same time.
const FACTORS: [u64; 5] = [
    0x6a09_e667_f3bc_c909,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
];

#[inline]
const fn times(word: u64, factor: u64) -> u64 {
    u64::from_le(word).wrapping_mul(factor)
}

/// The finaliser of `MurmurHash3` (public domain, Austin Appleby): every input bit reaches every output bit.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the high half was folded into the low one")]
const fn finish(hash: u64) -> u32 {
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (hash ^ hash >> 33) as u32
}

/// `hash` for the next try when the first slot's server takes no new connection.
#[inline]
pub const fn rehash(hash: u32, attempt: u32) -> u32 {
    finish((hash as u64) << 32 | (attempt as u64).wrapping_mul(0x9e37_79b9))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(client: [u8; 4], port: u16) -> FlowKey {
        FlowKey {
            client: Address::from_v4(client),
            client_port: U16::new(port),
            port: U16::new(80),
            owner: Owner::service(3),
        }
    }

    #[test]
    fn a_reply_owner_is_never_a_service() {
        for protocol in [TCP, UDP] {
            let owner = Owner::host(7, protocol);
            assert!(owner.is_reply());
            assert_eq!((owner.id(), owner.reply_protocol()), (7, protocol));
            assert_ne!(owner, Owner::service(7));
        }
        assert!(!Owner::service(u32::MAX).is_reply());
    }

    #[test]
    fn a_hash_is_the_same_on_every_director_and_in_every_version() {
        // Another hash takes open connections of untracked services from their servers when the program is replaced.
        let v4 = flow([198, 51, 100, 7], 40_000);
        let v6 = FlowKey {
            client: Address::from_v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]),
            ..v4
        };
        let rows = [
            (v4, Address::from_v4([192, 0, 2, 10]), true, 0xe23f_c9e7),
            (v4, Address::from_v4([192, 0, 2, 10]), false, 0xec69_d45d),
            (
                v6,
                Address::from_v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10]),
                true,
                0x47cb_53db,
            ),
        ];
        for (flow, vip, with_ports, want) in rows {
            assert_eq!(flow.hash(&vip, with_ports), want, "{flow:?} {with_ports}");
        }
    }

    #[test]
    fn a_key_of_words_equals_its_fields() {
        let flow = flow([198, 51, 100, 7], 40_000);
        assert_eq!(FlowKey::new(flow.client, flow.client_port, flow.port, flow.owner), flow);
    }

    #[test]
    fn a_hash_of_the_client_ignores_ports() {
        let vip = Address::from_v4([192, 0, 2, 10]);
        assert_eq!(flow([10, 0, 0, 1], 1).hash(&vip, false), flow([10, 0, 0, 1], 2).hash(&vip, false));
        assert_ne!(flow([10, 0, 0, 1], 1).hash(&vip, true), flow([10, 0, 0, 1], 2).hash(&vip, true));
    }

    #[test]
    fn neighbouring_clients_and_ports_spread_evenly() {
        let vip = Address::from_v4([192, 0, 2, 10]);
        for (name, with_ports) in [("clients", false), ("flows", true)] {
            let mut buckets = [0_u32; 16];
            for n in 0..16_000_u16 {
                let [high, low] = n.to_be_bytes();
                let key = if with_ports { flow([10, 0, 0, 1], n) } else { flow([10, 0, high, low], 1) };
                buckets[key.hash(&vip, with_ports) as usize >> 28] += 1;
            }
            assert!(buckets.iter().all(|count| (850..=1150).contains(count)), "{name}: {buckets:?}");
        }
    }
}
