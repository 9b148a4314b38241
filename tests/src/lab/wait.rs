//! Waiting for a condition, with a deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Makes every wait of this process fail from now on, so that the labs unwind and clean up (Ctrl-C in the demo).
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Whether [`interrupt`] was called.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Whether the process `pid` has ended and closed all that it had open, whether or not its parent has noticed.
pub fn has_ended(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let is_dead = stat
        .rsplit(')')
        .next()
        .is_none_or(|rest| rest.trim_start().is_empty() || rest.trim_start().starts_with(['Z', 'X']));
    // Its first thread may be dead before the others.
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    is_dead && threads <= 1
}

/// Waits until `condition` holds; an error that names `what` when `deadline` passes first.
///
/// # Errors
/// The deadline passed, or the process was interrupted.
pub fn wait_until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    wait_for(deadline, what, || condition().then_some(()))
}

/// What `probe` gives when it first gives something; an error that names `what` when `deadline` passes first.
///
/// # Errors
/// The deadline passed, or the process was interrupted.
pub fn wait_for<T>(deadline: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if interrupted() {
            bail!("waiting for {what}: interrupted");
        }
        if let Some(value) = probe() {
            return Ok(value);
        }
        if start.elapsed() > deadline {
            bail!("waiting for {what}: not so within {deadline:?}");
        }
        pause(start.elapsed());
    }
}

/// As [`wait_until`] without the interruption, for cleaning up; gives whether `condition` came to hold.
pub(super) fn settles(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > deadline {
            return false;
        }
        pause(start.elapsed());
    }
    true
}

/// A tenth of what was waited so far, between 1 ms and 50 ms: quick answers come quickly, slow ones cost little.
#[expect(clippy::disallowed_methods, reason = "the one place that waits between two looks at a condition")]
fn pause(waited: Duration) {
    std::thread::sleep((waited / 10).clamp(Duration::from_millis(1), Duration::from_millis(50)));
}
