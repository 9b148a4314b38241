//! The CPU time of what the kernel does with live frames.
//!
//! The kernel handles a batch on the CPU that sent it, in softirqs that run in the sender's own context: their time is the
//! thread's, unless the kernel accounts softirqs apart. What it puts off is done by `ksoftirqd` of the same CPU.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sched::sched_getcpu;
use nix::time::{ClockId, clock_gettime};

/// Reads the CPU time of the calling thread, and of `ksoftirqd` of its CPU.
#[derive(Debug)]
pub(crate) struct Clock {
    ksoftirqd: PathBuf,
}

/// CPU time until now; only differences mean something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    thread: Duration,
    ksoftirqd: Duration,
}

impl Clock {
    /// For threads on the CPU of the caller.
    pub(crate) fn new() -> Result<Self> {
        let name = format!("ksoftirqd/{}", sched_getcpu().context("cannot ask for the CPU")?);
        let processes = fs::read_dir("/proc").context("cannot list the processes")?.flatten();
        let is_it =
            |place: &Path| fs::read_to_string(place.join("comm")).is_ok_and(|found| found.trim_end() == name);
        let found = processes.map(|entry| entry.path()).find(|place| is_it(place));
        Ok(Self { ksoftirqd: found.with_context(|| format!("there is no {name}"))?.join("schedstat") })
    }

    /// The moment of the call.
    pub(crate) fn now(&self) -> Result<Moment> {
        let thread = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into();
        let context = || format!("cannot read {}", self.ksoftirqd.display());
        let text = fs::read_to_string(&self.ksoftirqd).with_context(context)?;
        let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
        let ksoftirqd = Duration::from_nanos(nanoseconds.with_context(context)?);
        Ok(Moment { thread, ksoftirqd })
    }

    /// CPU time since `began`, of a call that took `watched` by the kernel's own stopwatch.
    ///
    /// That one stands still while other processes run and counts whole nanoseconds a frame. Here the two differed by
    /// 1 ns a frame, also beside processes that never sleep. A kernel with `IRQ_TIME_ACCOUNTING` has softirqs in
    /// neither time of ours: there the stopwatch counts.
    pub(crate) fn since(&self, began: Moment, watched: Duration) -> Result<Duration> {
        let now = self.now()?;
        let thread = now.thread.saturating_sub(began.thread);
        let own = if thread < watched * 9 / 10 { watched } else { thread };
        Ok(own + now.ksoftirqd.saturating_sub(began.ksoftirqd))
    }
}
