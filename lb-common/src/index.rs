//! The index of services: a word for each hash of a key, so that most packets find their service, or that they are for
//! none, by one read of an array and no walk through a hash map.

use crate::address::KeyWords;
use crate::service::ServiceKey;

/// Elements of `SERVICE_INDEX`.
pub const PLACES: u32 = 1 << BITS;
const BITS: u32 = 16;

/// Odd numbers without a pattern: digits of the fractions of square roots of primes, as in SHA-512 (FIPS 180-4).
const FACTORS: [u64; 3] = [0x1f83_d9ab_fb41_bd6b, 0x9b05_688c_2b3e_6c1f, 0x5be0_cd19_137e_2179];

/// The place of `key` in the index: its words times odd factors, of which the top bits depend on all the others
/// (multiply-shift, Dietzfelbinger et al. 1997). A bad spread costs time, never a packet.
#[inline]
pub const fn place(key: &ServiceKey) -> u32 {
    let KeyWords { address, end } = words(key);
    let (high, low) = address.in_memory();
    let sum = u64::from_le(high)
        .wrapping_mul(FACTORS[0])
        .wrapping_add(u64::from_le(low).wrapping_mul(FACTORS[1]))
        .wrapping_add(u64::from_le(end).wrapping_mul(FACTORS[2]));
    (sum >> (u64::BITS - BITS)) as u32
}

/// Value of `SERVICE_INDEX`: which keys have this place. Changed by one store.
///
/// Bits 0 to 31 are a service id, 32 to 47 the port as it is on the wire, 48 to 55 the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Indexed(pub u64);

impl Indexed {
    /// No key.
    pub const NONE: Self = Self(0);
    /// More than one: `SERVICE_KEYS` knows.
    pub const SEVERAL: Self = Self(1 << 63);

    /// The key `key` alone, of service `id`.
    #[inline]
    pub const fn one(key: &ServiceKey, id: u32) -> Self {
        Self(id as u64 | port_and_protocol(key) << 32)
    }

    /// These keys, which have one place, with their services.
    pub fn of<'a>(keys: impl IntoIterator<Item = (&'a ServiceKey, &'a u32)>) -> Self {
        let mut keys = keys.into_iter();
        match (keys.next(), keys.next()) {
            (None, _) => Self::NONE,
            (Some((key, id)), None) => Self::one(key, *id),
            (Some(_), Some(_)) => Self::SEVERAL,
        }
    }

    /// The service of `key`, or 0, if no more than one key has its place. That the service has the key's VIP is left to see.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
    pub const fn service(self, key: &ServiceKey) -> u32 {
        if self.0 >> 32 == port_and_protocol(key) { self.0 as u32 } else { 0 }
    }
}

#[inline]
const fn words(key: &ServiceKey) -> KeyWords {
    zerocopy::transmute!(*key)
}

#[inline]
const fn port_and_protocol(key: &ServiceKey) -> u64 {
    u64::from_le(words(key).end) & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use std::collections::BTreeMap;

    fn key(address: [u8; 4], port: u16, protocol: u8) -> ServiceKey {
        ServiceKey::new(Address::from_v4(address), port.into(), protocol)
    }

    #[test]
    fn a_word_is_of_one_port_and_protocol() {
        let web = key([192, 0, 2, 10], 80, 6);
        let rows = [
            ("itself", web, 7),
            ("another port", key([192, 0, 2, 10], 81, 6), 0),
            ("the port of the other byte order", key([192, 0, 2, 10], 80_u16.swap_bytes(), 6), 0),
            ("any port", key([192, 0, 2, 10], 0, 6), 0),
            ("another protocol", key([192, 0, 2, 10], 80, 17), 0),
            ("another VIP, which its view tells", key([192, 0, 2, 11], 80, 6), 7),
        ];
        for (name, other, want) in rows {
            assert_eq!(Indexed::one(&web, 7).service(&other), want, "{name}");
            assert_eq!(Indexed::NONE.service(&other), 0, "{name}");
            assert_eq!(Indexed::SEVERAL.service(&other), 0, "{name}");
        }
        assert_eq!(Indexed::one(&web, u32::MAX).service(&web), u32::MAX);
    }

    #[test]
    fn no_word_of_a_key_means_none_or_several() {
        for protocol in [0, 6, 17, u8::MAX] {
            for id in [1, u32::MAX] {
                let word = Indexed::one(&key([0; 4], u16::MAX, protocol), id);
                assert!(word != Indexed::NONE && word != Indexed::SEVERAL, "{word:?}");
            }
        }
    }

    #[test]
    fn neighbouring_vips_and_ports_rarely_share_a_place() {
        let v6 = |n: u16| {
            let mut octets = [0; 16];
            (octets[0], octets[1]) = (0xfd, 0x12);
            octets[14..].copy_from_slice(&n.to_be_bytes());
            ServiceKey::new(Address::from_v6(octets), 443.into(), 6)
        };
        let v4 = |n: u16, port, protocol| {
            let [high, low] = n.to_be_bytes();
            key([10, 0, high, low], port, protocol)
        };
        let rows: [(&str, &dyn Fn(u16) -> ServiceKey); 5] = [
            ("VIPs", &|n| v4(n, 80, 6)),
            ("VIPs of IPv6", &v6),
            ("ports", &|n| key([192, 0, 2, 10], n, 6)),
            ("two protocols", &|n| v4(n / 2, 53, [6, 17][usize::from(n % 2)])),
            ("ten ports each", &|n| v4(n / 10, 8_000 + n % 10, 6)),
        ];
        for (name, key) in rows {
            let mut places: BTreeMap<u32, u32> = BTreeMap::new();
            (0..4_096).for_each(|n| *places.entry(place(&key(n))).or_default() += 1);
            assert!(places.keys().all(|place| *place < PLACES), "{name}");
            let sharing: u32 = places.values().filter(|keys| **keys > 1).sum();
            // By chance it would be one in 16.
            assert!(sharing <= 4_096 / 8, "{name}: {sharing} of 4096");
        }
    }
}
