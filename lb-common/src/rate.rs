//! A token bucket: how many answers a director gives to strangers.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Value of `ANSWER_RATE`, one per CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Bucket {
    /// Coarse monotonic clock in milliseconds at the last refill, modulo 2^32.
    pub refilled: u32,
    /// Tokens left, in thousandths of an answer.
    pub tokens: u32,
}

const ANSWER: u32 = 1_000;
const LONGEST_MS: u32 = 1_000;

impl Bucket {
    /// Takes one answer at `now` (milliseconds); `false` if `per_second` answers a second, two million at most, are used up.
    ///
    /// The bucket holds one second's worth.
    #[inline]
    pub fn take(&mut self, now: u32, per_second: u32) -> bool {
        let elapsed = now.wrapping_sub(self.refilled).min(LONGEST_MS);
        let limit = per_second.wrapping_mul(ANSWER);
        let tokens = self.tokens.wrapping_add(elapsed.wrapping_mul(per_second)).min(limit);
        self.refilled = now;
        let granted = tokens >= ANSWER;
        self.tokens = if granted { tokens - ANSWER } else { tokens };
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(bucket: &mut Bucket, now: u32, tries: usize) -> usize {
        (0..tries).filter(|_| bucket.take(now, 100)).count()
    }

    #[test]
    fn a_second_is_worth_its_rate_and_no_more() {
        let mut bucket = Bucket::default();
        assert_eq!(granted(&mut bucket, 5_000, 1_000), 100);
        assert_eq!(granted(&mut bucket, 5_000, 10), 0);
        assert_eq!(granted(&mut bucket, 5_500, 1_000), 50);
        assert_eq!(granted(&mut bucket, 100_000, 1_000), 100);
    }

    #[test]
    fn the_largest_rate_is_granted() {
        let mut bucket = Bucket { refilled: 0, tokens: 2_000_000_000 };
        assert!(bucket.take(1_000, 2_000_000));
        assert_eq!(bucket.tokens, 1_999_999_000);
    }

    #[test]
    fn a_rate_of_zero_grants_nothing() {
        assert!(!Bucket::default().take(10_000, 0));
    }
}
