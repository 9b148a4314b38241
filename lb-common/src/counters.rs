//! What is counted, per CPU, and what is kept of it; rates and sums are made in user space. And the settings of the program.

use crate::maps::{MAX_HOLD_MS, SETTING_ANY_PORT, SETTING_NAT};
use crate::server::{Method, ServerRef};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Value of `REASON_COUNTERS`, one per reason and outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes of the frames as they came in.
    pub bytes: u64,
}

/// Value of `SERVER_COUNTERS`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Traffic {
    /// Flows that were given a server.
    pub connections: u64,
    /// Packets from clients that were forwarded.
    pub in_packets: u64,
    /// Bytes of those frames as they came in.
    pub in_bytes: u64,
    /// Packets of nat servers that were translated back. Answers of dr and ipip servers do not pass the director.
    pub out_packets: u64,
    /// Bytes of those frames as they came in.
    pub out_bytes: u64,
}

impl Traffic {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            connections: self.connections.wrapping_add(other.connections),
            in_packets: self.in_packets.wrapping_add(other.in_packets),
            in_bytes: self.in_bytes.wrapping_add(other.in_bytes),
            out_packets: self.out_packets.wrapping_add(other.out_packets),
            out_bytes: self.out_bytes.wrapping_add(other.out_bytes),
        }
    }
}

/// Value of `SERVICE_COUNTERS`: what servers had counted whose ids are others' now. The agent alone reads and writes it.
///
/// Programs count a packet once, for its server. What a service and a forwarding method had is the sum over servers: those
/// that the tables have, and these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Retired {
    /// By [`Method`], in the order of their numbers.
    pub methods: [Traffic; 3],
    /// The server that was added last, while its own counters still hold what was added; else none.
    pub folding: ServerRef,
    /// Zero.
    pub reserved: u32,
}

impl Retired {
    /// This, and what a server of `method` counted.
    #[must_use]
    pub fn with(mut self, method: Method, traffic: Traffic) -> Self {
        if let Some(sum) = self.methods.get_mut(method.place()) {
            *sum = sum.and(traffic);
        }
        self
    }

    /// Both together, as settled.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut both = Self { folding: ServerRef::NONE, ..*self };
        both.methods.iter_mut().zip(other.methods).for_each(|(sum, traffic)| *sum = sum.and(traffic));
        both
    }

    /// All methods together.
    #[must_use]
    pub fn total(&self) -> Traffic {
        self.methods.into_iter().fold(Traffic::default(), Traffic::and)
    }
}

/// Value of `SETTINGS`, one element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Settings {
    /// [`crate::maps::SCHEMA_VERSION`] of the agent that wrote the tables; 0 before the first one did.
    pub schema: u32,
    /// `SETTING_*` bits.
    pub flags: u32,
    /// One decision in this many goes to `EVENTS`; 0 is none.
    pub sample_period: u32,
    /// Answers (resets, ICMP errors) per second and CPU.
    pub answers_per_second: u32,
    /// When an agent last said that it is there, in seconds since 1970; 0 if none ever did.
    pub heartbeat: u64,
    /// Coarse monotonic clock in milliseconds, modulo 2^32, until which packets of unknown flows wait; 0 is no hold.
    pub hold_until: u32,
    /// Zero.
    pub reserved: u32,
}

impl Settings {
    /// Whether some service takes any port.
    #[inline]
    pub const fn any_port(&self) -> bool {
        self.flags & SETTING_ANY_PORT != 0
    }

    /// Whether some server is reached by nat.
    #[inline]
    pub const fn nat(&self) -> bool {
        self.flags & SETTING_NAT != 0
    }

    /// Whether flows may be missing from the tables at `now`, because they are being copied.
    ///
    /// A hold that nobody ended ends by itself, and is not taken for one in the future when the clock wraps.
    #[inline]
    pub const fn holds(&self, now: u32) -> bool {
        let left = self.hold_until.wrapping_sub(now);
        self.hold_until != 0 && left != 0 && left <= MAX_HOLD_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(times: u64) -> Traffic {
        let [connections, in_packets, in_bytes, out_packets, out_bytes] = [1, 2, 3, 4, 5].map(|n| n * times);
        Traffic { connections, in_packets, in_bytes, out_packets, out_bytes }
    }

    #[test]
    fn every_field_is_added() {
        assert_eq!(traffic(1).and(traffic(10)).and(Traffic::default()), traffic(11));
    }

    #[test]
    fn what_is_kept_of_former_servers_is_kept_by_method() {
        let one = Retired::default().with(Method::Dr, traffic(1)).with(Method::Ipip, traffic(100));
        let two =
            Retired { folding: ServerRef::new(5, 7), ..Retired::default().with(Method::Nat, traffic(10)) };
        let both = one.and(&two);
        assert_eq!(both.methods, [traffic(1), traffic(10), traffic(100)]);
        assert_eq!((both.total(), both.folding), (traffic(111), ServerRef::NONE));
        assert_eq!(two.and(&one), both);
    }

    #[test]
    fn a_hold_ends_by_itself_and_survives_the_wrap_of_the_clock() {
        let until = |hold_until| Settings { hold_until, ..Settings::default() };
        let rows = [
            ("none", 0, 4_000_000_000, false),
            ("none at the wrap", 0, u32::MAX, false),
            ("just begun", 5_000, 0, true),
            ("nearly over", 5_000, 4_999, true),
            ("over", 5_000, 5_000, false),
            ("long over", 5_000, 3_000_000_000, false),
            ("further away than a hold can be", 5_001, 0, false),
            ("across the wrap", 10, u32::MAX - 10, true),
        ];
        for (name, hold_until, now, want) in rows {
            assert_eq!(until(hold_until).holds(now), want, "{name}");
        }
    }
}
