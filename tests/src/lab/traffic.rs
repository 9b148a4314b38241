//! What went over a device, as its driver counts it: no program of the balancer has a say in it.

use std::fs;
use std::ops::Sub;

use anyhow::{Context, Result};

use super::Host;

/// Bytes over a device, or what they grew by.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// What came in.
    pub received: u64,
    /// What went out.
    pub sent: u64,
}

impl Sub for Traffic {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            received: self.received.saturating_sub(earlier.received),
            sent: self.sent.saturating_sub(earlier.sent),
        }
    }
}

impl Host {
    /// What has gone over all devices of the machine but `lo`.
    ///
    /// # Errors
    /// The kernel's list cannot be read.
    pub fn traffic(&self) -> Result<Traffic> {
        let list = self.within(|| fs::read_to_string("/proc/thread-self/net/dev"))?;
        let list = list.with_context(|| format!("cannot read the counters of {}", self.name()))?;
        sum(&list).with_context(|| format!("cannot understand the counters of {}:\n{list}", self.name()))
    }
}

/// Bytes are the first of eight columns received and the first of those sent.
fn sum(list: &str) -> Option<Traffic> {
    let mut traffic = Traffic::default();
    for line in list.lines().skip(2) {
        let (device, counters) = line.split_once(':')?;
        if device.trim() == "lo" {
            continue;
        }
        let mut counters = counters.split_whitespace();
        traffic.received += counters.next()?.parse::<u64>().ok()?;
        traffic.sent += counters.nth(7)?.parse::<u64>().ok()?;
    }
    Some(traffic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_all_devices_but_lo_are_added() {
        let list = "Inter-| Receive | Transmit\n face |bytes packets\n    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n  eth0: 100 2 0 0 0 0 0 0 30 4 0 0 0 0 0 0\n  eth1: 1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n";
        assert_eq!(sum(list), Some(Traffic { received: 101, sent: 32 }));
        assert_eq!(sum("\n\n eth0: 1 2"), None);
    }
}
