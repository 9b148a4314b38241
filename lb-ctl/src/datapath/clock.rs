//! The program's clock, and the grace period.

use super::error::{Result, kernel};
use super::sys;

/// The program's clock: coarse, monotonic, milliseconds modulo 2^32.
///
/// # Errors
///
/// [`super::DatapathError::Kernel`] if the system has no such clock.
#[expect(clippy::cast_possible_truncation, reason = "the clock wraps, as the program's does")]
#[expect(clippy::cast_sign_loss, reason = "a monotonic clock starts at zero")]
pub fn now_ms() -> Result<u32> {
    let time = sys::coarse_clock().map_err(kernel("read the coarse clock"))?;
    Ok((time.tv_sec as u64).wrapping_mul(1_000).wrapping_add(time.tv_nsec as u64 / 1_000_000) as u32)
}

/// Waits until no packet that was under way when it was called is under way any more: about 10 ms, blocking.
///
/// After it, what no table names any more may be used again.
///
/// # Errors
///
/// [`super::DatapathError::Kernel`] if the kernel has no membarrier(2).
pub fn grace() -> Result<()> {
    sys::membarrier().map_err(kernel("wait for packets under way"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_period_ends_and_time_goes_on() {
        let before = now_ms().unwrap();
        grace().unwrap();
        let elapsed = now_ms().unwrap().wrapping_sub(before);
        assert!(elapsed < 10_000, "{elapsed} ms");
    }
}
