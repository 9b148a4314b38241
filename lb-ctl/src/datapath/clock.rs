//! The program's clock, and the grace period.

use super::error::{Result, kernel};
use super::sys::{self, RawMap};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Duration;
use zerocopy::IntoBytes as _;

/// The program's clock: coarse, monotonic, milliseconds modulo 2^32.
///
/// # Errors
///
/// [`super::DatapathError::Kernel`] if the system has no such clock.
#[expect(clippy::cast_possible_truncation, reason = "the clock wraps, as the program's does")]
pub fn now_ms() -> Result<u32> {
    uptime_ms().map(|now| now as u32)
}

/// The same clock, which does not wrap.
///
/// # Errors
///
/// As [`now_ms`].
#[expect(clippy::cast_sign_loss, reason = "a monotonic clock starts at zero")]
pub fn uptime_ms() -> Result<u64> {
    let time = sys::coarse_clock().map_err(kernel("read the coarse clock"))?;
    Ok((time.tv_sec as u64).wrapping_mul(1_000).wrapping_add(time.tv_nsec as u64 / 1_000_000))
}

/// How long this thread has had a processor; nothing where that is not known.
#[expect(clippy::cast_sign_loss, reason = "a processor's time starts at zero")]
pub fn processor_time() -> Duration {
    let time = sys::thread_clock().ok();
    time.map_or(Duration::ZERO, |time| {
        Duration::new(time.tv_sec as u64, u32::try_from(time.tv_nsec).unwrap_or(0))
    })
}

/// Waits until no packet that was under way when it was called is under way any more: about 10 ms, blocking.
///
/// After it, what no table names any more may be used again. Kernels that keep CPUs free of ticks (`nohz_full`) refuse
/// membarrier(2): there it takes about 70 ms.
///
/// # Errors
///
/// [`super::DatapathError::Kernel`] if the kernel cannot wait.
pub fn grace() -> Result<()> {
    match sys::membarrier() {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => grace_by_map(),
        result => result.map_err(kernel("wait for packets under way")),
    }
}

/// Waits as [`grace`] does: the kernel returns from a change of a map of maps when no program uses what was there.
fn grace_by_map() -> Result<()> {
    let wait = || {
        let inner = sys::create_array(None)?;
        let outer = RawMap::new(sys::create_array(Some(inner.as_fd()))?, None)?;
        outer.update(0_u32.as_bytes(), inner.as_raw_fd().as_bytes())
    };
    wait().map_err(kernel("wait for packets under way"))
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

    #[test]
    fn without_membarrier_a_map_of_maps_waits() {
        grace_by_map().unwrap();
        let before = std::time::Instant::now();
        (0..3).for_each(|_| grace_by_map().unwrap());
        let waited = before.elapsed();
        assert!(waited > Duration::from_micros(100), "it did not wait: {waited:?}");
    }
}
