//! Time as a slot and a view hold it: few bits, so that it is stored where it survives the agent.

/// Parts of an idle timeout that are told apart.
const PARTS: u64 = 16;
/// Numbers that six bits hold.
const NUMBERS: u8 = 64;
/// Parts after which one idle timeout has certainly passed: the first may have been nearly over when it was noted, and
/// one more is for what happened shortly after it.
const OVER: u8 = 18;

/// A sixteenth of an idle timeout, modulo 64: 6 bits.
///
/// After four timeouts the numbers begin again. Whoever comes late takes a change to be younger than it is, never older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(u8);

impl Epoch {
    /// The epoch at `now`, milliseconds of a clock that is never set, for an idle `timeout` in milliseconds.
    #[expect(clippy::cast_possible_truncation, reason = "six bits are kept")]
    pub const fn at(now: u64, timeout: u32) -> Self {
        let part = match timeout as u64 / PARTS {
            0 => 1,
            part => part,
        };
        Self((now / part) as u8 % NUMBERS)
    }

    /// The epoch of these bits.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits % NUMBERS)
    }

    /// Its six bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether at `now` one idle timeout has passed since this epoch.
    pub const fn is_over(self, now: Self) -> bool {
        now.0.wrapping_sub(self.0) % NUMBERS >= OVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_over_after_itself_and_before_one_and_a_quarter() {
        for timeout in [16, 5_000, 900_000] {
            for began in [0, 1, 7_777_777, u64::from(u32::MAX)] {
                let over = |after: u64| {
                    Epoch::at(began, timeout)
                        .is_over(Epoch::at(began + after * u64::from(timeout) / 16, timeout))
                };
                assert!(!(0..=16).any(over), "{timeout} ms from {began}");
                assert!((20..=60).all(over), "{timeout} ms from {began}");
            }
        }
    }

    #[test]
    fn who_comes_late_waits_longer() {
        let over = |after| Epoch::at(0, 1_600).is_over(Epoch::at(after, 1_600));
        assert!(!over(6_400 + 1_600));
        assert!(over(6_400 + 1_900));
    }

    #[test]
    fn no_timeout_is_too_short() {
        assert!(Epoch::at(100, 0).is_over(Epoch::at(118, 0)));
    }
}
