//! The Internet checksum: whole (RFC 1071) and by difference (RFC 1624).

use crate::address::Address;
use crate::packet::Family;
use zerocopy::network_endian::U16;
use zerocopy::{Immutable, IntoBytes};

/// A one's-complement sum of 16-bit words, not yet folded. Holds at least 2^16 words.
#[derive(Clone, Copy, Debug)]
pub struct Sum(u32);

impl Sum {
    /// The sum of nothing.
    pub const NONE: Self = Self(0);

    /// Adds the words of `data`, whose length is even.
    #[inline]
    #[must_use]
    pub fn and<T: IntoBytes + Immutable + ?Sized>(self, data: &T) -> Self {
        Self(data.as_bytes().chunks_exact(2).fold(self.0, |sum, pair| match pair {
            [high, low] => sum + u32::from(u16::from_be_bytes([*high, *low])),
            _ => sum,
        }))
    }

    /// Adds one word.
    #[inline]
    #[must_use]
    pub const fn add_word(self, word: u16) -> Self {
        Self(self.0 + word as u32)
    }

    /// Adds the pseudo-header of TCP, UDP and `ICMPv6` (RFC 9293, section 3.1; RFC 8200, section 8.1).
    #[inline]
    #[must_use]
    pub const fn add_pseudo_header(
        self,
        source: &Address,
        destination: &Address,
        protocol: u8,
        len: u16,
    ) -> Self {
        let ((source_high, source_low), (destination_high, destination_low)) =
            (source.words(), destination.words());
        let addresses = if source.is_v4() {
            words_of(source_low & 0xffff_ffff) + words_of(destination_low & 0xffff_ffff)
        } else {
            words_of(source_high)
                + words_of(source_low)
                + words_of(destination_high)
                + words_of(destination_low)
        };
        Self(self.0 + addresses).add_word(protocol as u16).add_word(len)
    }

    /// The checksum.
    #[inline]
    pub const fn finish(self) -> U16 {
        U16::new(!fold(self.0))
    }
}

/// What a change of some words does to a checksum that covers them.
#[derive(Clone, Copy, Debug)]
pub struct ChecksumDelta(u32);

impl ChecksumDelta {
    /// No change.
    pub const NONE: Self = Self(0);

    /// One word changes.
    #[inline]
    #[must_use]
    pub const fn replace(self, old: u16, new: u16) -> Self {
        Self(self.0 + !old as u32 + new as u32)
    }

    /// An address changes.
    #[inline]
    #[must_use]
    pub const fn replace_address(self, family: Family, old: &Address, new: &Address) -> Self {
        let ((old_high, old_low), (new_high, new_low)) = (old.words(), new.words());
        match family {
            Family::V4 => Self(self.0 + words_of(!old_low & 0xffff_ffff) + words_of(new_low & 0xffff_ffff)),
            Family::V6 => Self(
                self.0 + words_of(!old_high) + words_of(!old_low) + words_of(new_high) + words_of(new_low),
            ),
        }
    }

    /// The checksum after the change (RFC 1624, equation 3).
    #[inline]
    pub const fn apply(self, checksum: U16) -> U16 {
        U16::new(!fold(!checksum.get() as u32 + fold(self.0) as u32))
    }
}

/// The sum of the four 16-bit words of `value`.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "each part is masked to 16 bits")]
const fn words_of(value: u64) -> u32 {
    ((value >> 48) + (value >> 32 & 0xffff) + (value >> 16 & 0xffff) + (value & 0xffff)) as u32
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the second fold leaves 16 bits")]
const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(a: U16, b: U16) -> bool {
        // One's complement has two zeros.
        a == b || (a.get().is_multiple_of(0xffff) && b.get().is_multiple_of(0xffff))
    }

    #[test]
    fn the_example_of_rfc_1071_holds() {
        let data = [0x00_u8, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::NONE.and(&data).finish().get(), !0xddf2);
    }

    #[test]
    fn the_example_of_rfc_1624_holds() {
        let delta = ChecksumDelta::NONE.replace(0x5555, 0x3285);
        assert_eq!(delta.apply(U16::new(0xdd2f)).get(), 0x0000);
    }

    proptest! {
        #[test]
        fn a_difference_gives_what_a_recount_gives(before: [u8; 16], after: [u8; 16], rest: [u8; 20]) {
            let old = Sum::NONE.and(&before).and(&rest).finish();
            let new = Sum::NONE.and(&after).and(&rest).finish();
            let delta = ChecksumDelta::NONE.replace_address(Family::V6, &Address::from_v6(before), &Address::from_v6(after));
            prop_assert!(same(delta.apply(old), new));
        }
    }
}
