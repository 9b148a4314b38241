//! What else the machine did meanwhile: on a busy one, rows say less.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lb_tests::measure::{self, Row};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{SysconfVar, sysconf};

/// The work of the machine and of this process, from some moment on.
pub(crate) struct Work {
    began: Instant,
    all: Duration,
    own: Duration,
}

impl Work {
    /// From now on.
    pub(crate) fn begin() -> Result<Self> {
        Ok(Self { began: Instant::now(), all: all()?, own: own()? })
    }

    /// The row of what others did: per cent of one CPU.
    pub(crate) fn of_others(&self) -> Result<Row> {
        let (all, own) = (all()?.saturating_sub(self.all), own()?.saturating_sub(self.own));
        let share = all.saturating_sub(own).as_secs_f64() / self.began.elapsed().as_secs_f64();
        measure::row("yardstick-other-work", "%", vec![100.0 * share])
    }
}

/// What all CPUs worked since the start of the machine, and what its host took away.
fn all() -> Result<Duration> {
    /// Of the numbers in the first line of /proc/stat: all but the two of idling, and guests, which are counted twice.
    const WORK: [usize; 6] = [0, 1, 2, 5, 6, 7];
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let numbers: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let ticks: u64 = WORK.iter().filter_map(|place| numbers.get(*place)).sum();
    let per_second = sysconf(SysconfVar::CLK_TCK)?.and_then(|ticks| u32::try_from(ticks).ok());
    Ok(Duration::from_secs(ticks) / per_second.context("the kernel counts no ticks")?)
}

fn own() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: nix::sys::time::TimeVal| {
        Duration::from_micros(u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0))
    };
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}
