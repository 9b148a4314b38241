//! The decapsulation program, loaded with a test's addresses.

use std::net::IpAddr;

use lb_common::counters::Count;
use lb_ctl::datapath::decap::Unpinned;

use super::{Counters, Expected, action, check, failed};
use crate::packet::describe;

/// The loaded program of a server.
#[derive(Debug)]
pub struct LoadedDecap(Unpinned);

impl LoadedDecap {
    /// Loads the program on a host with `addresses` that was told about `vips`.
    pub fn load(addresses: &[IpAddr], vips: &[IpAddr]) -> Self {
        Self(Unpinned::open(addresses, vips).unwrap_or_else(failed("load the program")))
    }

    /// Runs the program on a frame, and fails with both packets if anything is not as `expected`.
    #[track_caller]
    pub fn expect(&self, frame: &[u8], expected: &Expected) {
        let before = self.counters();
        let (action, packet) = action(self.0.test_run(frame).unwrap_or_else(failed("run the program")));
        let moved = self.counters().since(&before);
        check(frame, expected, action, &packet);
        let wanted = expected.counters(frame.len());
        assert_eq!(moved, wanted, "these counters moved (left), of this frame:\n{}", describe(frame));
    }

    fn counters(&self) -> Counters {
        let reasons = self.0.reasons().unwrap_or_else(failed("read the counters"));
        let reasons = reasons.into_iter().map(|(reason, answered, count)| ((reason.word(), answered), count));
        Counters {
            reasons: reasons.filter(|(_, count)| *count != Count::default()).collect(),
            ..Counters::default()
        }
    }
}
