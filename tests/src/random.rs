//! Random numbers whose seed a failed test shows, so that it can be repeated.

use std::env;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

/// Sets the seed of every [`Random`].
const VARIABLE: &str = "LB_SEED";

/// A sequence of numbers (xorshift64).
#[derive(Debug, Clone)]
pub struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// A sequence that is another one in each run, unless `LB_SEED` is set.
    pub fn new() -> Self {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros());
        let seed = env::var(VARIABLE).ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::try_from(clock() % 1_000_000).unwrap_or(0));
        // Neighbouring seeds give sequences that have nothing in common (Knuth's multiplicative hash).
        Self { seed, state: (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) }
    }

    /// How this sequence is had again.
    pub fn how_to_repeat(&self) -> String {
        format!("{VARIABLE}={} repeats it", self.seed)
    }

    /// The next number of `range`, which is not empty.
    pub fn within(&mut self, range: Range<u32>) -> u32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let width = u64::from(range.end - range.start);
        range.start + u32::try_from(((self.state >> 32) * width) >> 32).unwrap_or(0)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u32) -> bool {
        self.within(0..times) == 0
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_the_range_comes_and_no_other() {
        let mut random = Random::new();
        let seen: std::collections::BTreeSet<u32> = (0..1_000).map(|_| random.within(3..10)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8, 9], "{}", random.how_to_repeat());
    }
}
