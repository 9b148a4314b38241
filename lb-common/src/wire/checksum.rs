//! The Internet checksum: whole (RFC 1071) and by difference (RFC 1624).
//!
//! Words are added as they lie in memory, four bytes at a time: a one's-complement sum comes out the same in either byte
//! order, and of words of any width (RFC 1071, section 2).

use crate::address::Address;
use zerocopy::network_endian::U16;
use zerocopy::{Immutable, IntoBytes};

/// A one's-complement sum, not yet folded. Holds at least 2^32 words.
#[derive(Clone, Copy, Debug)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const NONE: Self = Self(0);

    /// Adds the words of `data`, whose length is even.
    #[inline]
    #[must_use]
    pub fn and<T: IntoBytes + Immutable + ?Sized>(self, data: &T) -> Self {
        let (words, rest) = data.as_bytes().as_chunks();
        let sum = words.iter().fold(self.0, |sum, word| sum + u64::from(u32::from_ne_bytes(*word)));
        match rest {
            [high, low, ..] => Self(sum + half(U16::from_bytes([*high, *low]))),
            _ => Self(sum),
        }
    }

    /// Adds the pseudo-header of TCP, UDP and `ICMPv6` (RFC 9293, section 3.1; RFC 8200, section 8.1).
    ///
    /// The bytes before an IPv4 address in an [`Address`] add `0xffff`, which is zero.
    #[inline]
    #[must_use]
    pub const fn add_pseudo_header(
        self,
        source: &Address,
        destination: &Address,
        protocol: u8,
        len: u16,
    ) -> Self {
        let numbers = half(U16::new(protocol as u16)) + half(U16::new(len));
        Self(self.0 + address(source) + address(destination) + numbers)
    }

    /// The checksum.
    #[inline]
    pub const fn finish(self) -> U16 {
        U16::from_bytes((!fold(self.0)).to_ne_bytes())
    }
}

/// What a change of some words does to a checksum that covers them.
#[derive(Clone, Copy, Debug)]
pub struct ChecksumDelta(u64);

impl ChecksumDelta {
    /// No change.
    pub const NONE: Self = Self(0);

    /// One word changes.
    #[inline]
    #[must_use]
    pub const fn replace(self, old: U16, new: U16) -> Self {
        Self(self.0 + (half(old) ^ 0xffff) + half(new))
    }

    /// An address changes.
    #[inline]
    #[must_use]
    pub const fn replace_address(self, old: &Address, new: &Address) -> Self {
        let (high, low) = old.in_memory();
        Self(self.0 + halves(!high) + halves(!low) + address(new))
    }

    /// The checksum after the change (RFC 1624, equation 3).
    #[inline]
    pub const fn apply(self, checksum: U16) -> U16 {
        Sum(self.0 + (half(checksum) ^ 0xffff)).finish()
    }
}

#[inline]
const fn half(word: U16) -> u64 {
    u16::from_ne_bytes(word.to_bytes()) as u64
}

#[inline]
const fn halves(word: u64) -> u64 {
    (word >> 32) + (word & 0xffff_ffff)
}

#[inline]
const fn address(address: &Address) -> u64 {
    let (high, low) = address.in_memory();
    halves(high) + halves(low)
}

/// Both halves together, with the carry: the high half of a sum with itself, halves exchanged. Zero only of zero.
#[inline]
const fn fold(sum: u64) -> u16 {
    let sum = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn same(a: U16, b: U16) -> bool {
        // One's complement has two zeros.
        a == b || (a.get().is_multiple_of(0xffff) && b.get().is_multiple_of(0xffff))
    }

    #[test]
    fn the_example_of_rfc_1071_holds() {
        let data = [0x00_u8, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::NONE.and(&data).finish().get(), !0xddf2);
        assert_eq!(
            Sum::NONE.and(&data[..2]).and(&data[2..]).finish().get(),
            !0xddf2,
            "in pieces of two and six"
        );
    }

    #[test]
    fn the_example_of_rfc_1624_holds() {
        let delta = ChecksumDelta::NONE.replace(U16::new(0x5555), U16::new(0x3285));
        assert_eq!(delta.apply(U16::new(0xdd2f)).get(), 0x0000);
    }

    #[test]
    fn a_sum_of_the_largest_words_folds_to_sixteen_bits() {
        assert_eq!(Sum::NONE.and(&std::vec![0xff_u8; 65_536][..]).finish().get(), 0);
        assert_eq!((fold(u64::MAX), fold(0), fold(1 << 63)), (0xffff, 0, 0x8000));
    }

    fn of_family(v6: bool, [a, b, c, d, rest @ ..]: [u8; 16]) -> (Address, Vec<u8>) {
        if v6 {
            let octets = [&[a, b, c, d][..], &rest].concat();
            (Address::from_v6(octets.clone().try_into().unwrap()), octets)
        } else {
            (Address::from_v4([a, b, c, d]), std::vec![a, b, c, d])
        }
    }

    proptest! {
        #[test]
        fn a_difference_gives_what_a_recount_gives(v6: bool, before: [u8; 16], after: [u8; 16], rest: [u8; 20]) {
            let ((before, old), (after, new)) = (of_family(v6, before), of_family(v6, after));
            let old = Sum::NONE.and(&old[..]).and(&rest).finish();
            let new = Sum::NONE.and(&new[..]).and(&rest).finish();
            let delta = ChecksumDelta::NONE.replace_address(&before, &after);
            prop_assert!(same(delta.apply(old), new));
        }

        #[test]
        fn a_pseudo_header_adds_what_its_bytes_add(v6: bool, source: [u8; 16], destination: [u8; 16], protocol: u8, len: u16) {
            let ((source, from), (destination, to)) = (of_family(v6, source), of_family(v6, destination));
            let [high, low] = len.to_be_bytes();
            let bytes = [&from[..], &to, &[0, protocol, high, low]].concat();
            let sum = Sum::NONE.add_pseudo_header(&source, &destination, protocol, len);
            prop_assert!(same(sum.finish(), Sum::NONE.and(&bytes[..]).finish()));
        }
    }
}
