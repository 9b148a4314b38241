//! Schedulers, one a file: how a slot table is filled, and how a new flow finds its slot.

#[cfg(feature = "alloc")]
pub mod mh;
#[cfg(feature = "alloc")]
pub mod rr;
#[cfg(feature = "alloc")]
pub mod sh;
#[cfg(feature = "alloc")]
pub mod wrr;

use crate::flow::rehash;
use crate::service::Pick;

#[cfg(feature = "alloc")]
pub use table::{MAX_TABLE, Member};

/// Tries of a new flow: its slot, then re-hashed ones while their servers take no new connections.
pub const MAX_ATTEMPTS: u32 = 5;

/// A scheduler. The number is what a view and a listing hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Scheduler {
    /// Round robin.
    Rr = 0,
    /// Weighted round robin.
    Wrr = 1,
    /// Source hash.
    Sh = 2,
    /// Maglev hash.
    Mh = 3,
}

impl Scheduler {
    /// Every scheduler.
    pub const ALL: [Self; 4] = [Self::Rr, Self::Wrr, Self::Sh, Self::Mh];

    /// The scheduler with this number.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|scheduler| *scheduler as u8 == byte)
    }

    /// The word of the CLI.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rr => "rr",
            Self::Wrr => "wrr",
            Self::Sh => "sh",
            Self::Mh => "mh",
        }
    }

    /// How a new flow finds its slot.
    pub const fn pick(self) -> Pick {
        match self {
            Self::Rr | Self::Wrr => Pick::Sequence,
            Self::Sh => Pick::Client,
            Self::Mh => Pick::Flow,
        }
    }
}

/// The slot, in a table of `len`, of a new flow with hash or turn `word` at its try number `attempt` (0 is the first).
///
/// `None` if the table is empty.
#[inline]
pub const fn slot_index(pick: Pick, word: u32, attempt: u32, len: u32) -> Option<u32> {
    match (pick, attempt) {
        (Pick::Sequence, 0) => word.checked_rem(len),
        _ if len == 0 => None,
        (_, 0) => Some(((word as u64 * len as u64) >> 32) as u32),
        _ => Some(((rehash(word, attempt) as u64 * len as u64) >> 32) as u32),
    }
}

#[cfg(feature = "alloc")]
mod table {
    use super::{Scheduler, mh, rr, sh, wrr};
    use crate::address::Address;
    use crate::server::ServerRef;
    use alloc::vec::Vec;

    /// Most slots of one service.
    pub const MAX_TABLE: usize = 1_048_573;

    /// A server of the service.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Member {
        /// What its slots hold.
        pub server: ServerRef,
        /// Its share of new connections; 0 while it takes none, for whatever reason.
        pub weight: u32,
        /// Its address: hash tables depend on it and not on the order of members or on ids.
        pub address: Address,
        /// Its port, or 0.
        pub port: u16,
    }

    impl Scheduler {
        /// The slot table of `members`. A member of weight 0 gets no slot; if all have, the table is empty.
        ///
        /// A server that is drained or down belongs in `members` with weight 0: the size of a hash table depends on
        /// how many there are, and another size moves every flow.
        pub fn fill(self, members: &[Member]) -> Vec<ServerRef> {
            let eligible: Vec<Member> = members.iter().copied().filter(|member| member.weight > 0).collect();
            match self {
                Self::Rr => rr::fill(&eligible),
                Self::Wrr => wrr::fill(&eligible),
                Self::Sh => sh::fill(&eligible),
                Self::Mh => mh::fill(&eligible, mh::table_size(members.len())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::server::ServerRef;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    pub(super) fn members(weights: &[u32]) -> Vec<Member> {
        let member = |(n, weight): (usize, &u32)| Member {
            server: ServerRef::new(u32::try_from(n).unwrap() + 1, 0),
            weight: *weight,
            address: Address::from_v4([
                10,
                0,
                u8::try_from(n / 256).unwrap(),
                u8::try_from(n % 256).unwrap(),
            ]),
            port: 0,
        };
        weights.iter().enumerate().map(member).collect()
    }

    pub(super) fn shares(table: &[ServerRef]) -> BTreeMap<u32, usize> {
        table.iter().fold(BTreeMap::new(), |mut shares, server| {
            *shares.entry(server.id()).or_default() += 1;
            shares
        })
    }

    #[test]
    fn every_byte_names_itself_or_nothing() {
        for scheduler in Scheduler::ALL {
            assert_eq!(Scheduler::from_byte(scheduler as u8), Some(scheduler));
        }
        assert_eq!(Scheduler::from_byte(200), None);
    }

    #[test]
    fn no_member_no_slot_and_weight_zero_gets_none() {
        for scheduler in Scheduler::ALL {
            assert!(scheduler.fill(&[]).is_empty());
            assert!(scheduler.fill(&members(&[0, 0])).is_empty());
            let table = scheduler.fill(&members(&[1, 0, 2]));
            assert!(
                !table.is_empty()
                    && table.iter().all(|server| server.id() != 2 && *server != ServerRef::NONE)
            );
        }
    }

    #[test]
    fn an_index_is_inside_the_table() {
        for pick in [Pick::Flow, Pick::Client, Pick::Sequence] {
            assert_eq!(slot_index(pick, 7, 0, 0), None);
            assert_eq!(slot_index(pick, 7, 3, 0), None);
            for word in [0, 1, u32::MAX / 2, u32::MAX] {
                for attempt in 0..MAX_ATTEMPTS {
                    assert!(slot_index(pick, word, attempt, 4093).unwrap() < 4093);
                }
            }
        }
    }

    #[test]
    fn turns_follow_each_other() {
        let order: Vec<_> = (0..5).map(|turn| slot_index(Pick::Sequence, turn, 0, 3).unwrap()).collect();
        assert_eq!(order, [0, 1, 2, 0, 1]);
    }
}
