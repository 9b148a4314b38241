//! Maglev hashing, for any weights (Maglev paper, NSDI 2016, section 3.4).
//!
//! The paper lets servers take turns, each claiming the next free slot of its own permutation. Here server `i` claims
//! its slot number `k` at time `(k + 1/2) / weight`, so that shares follow the weights for any weights: the method of
//! Webster, which favours neither large nor small ones.

use super::{MAX_TABLE, Member};
use crate::server::ServerRef;
use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// Table sizes. At 330 slots a server, 0.84 % of the flows move beyond the necessary when one of 100 leaves.
const PRIMES: [usize; 9] = [4_093, 8_191, 16_381, 32_749, 65_521, 131_071, 262_139, 524_287, MAX_TABLE];
const SLOTS_PER_SERVER: usize = 330;

/// Slots of a table for this many servers.
pub fn table_size(servers: usize) -> usize {
    let wanted = servers.saturating_mul(SLOTS_PER_SERVER);
    PRIMES.into_iter().find(|prime| *prime >= wanted).unwrap_or(MAX_TABLE)
}

/// A server and the next slot of its permutation.
struct Claimant {
    server: ServerRef,
    weight: u64,
    order: usize,
    next: usize,
    skip: usize,
}

impl Claimant {
    /// Claims its next free slot.
    fn claim(&mut self, table: &mut [ServerRef]) {
        while table.get(self.next).is_some_and(|slot| *slot != ServerRef::NONE) {
            self.next += self.skip;
            if self.next >= table.len() {
                self.next -= table.len();
            }
        }
        if let Some(slot) = table.get_mut(self.next) {
            *slot = self.server;
        }
    }
}

/// The servers of one weight, in their order: they are due at the same times, one after the other.
struct Class {
    weight: u64,
    claimants: Vec<Claimant>,
    /// Whose turn it is.
    turn: usize,
    /// Claims that each has made, and those before the turn one more.
    claims: u64,
}

impl Class {
    fn claim(&mut self, table: &mut [ServerRef]) {
        if let Some(claimant) = self.claimants.get_mut(self.turn) {
            claimant.claim(table);
        }
        self.turn += 1;
        if self.turn >= self.claimants.len() {
            (self.turn, self.claims) = (0, self.claims + 1);
        }
    }

    fn due(&self, other: &Self) -> Ordering {
        let (mine, theirs) = ((2 * self.claims + 1) * other.weight, (2 * other.claims + 1) * self.weight);
        mine.cmp(&theirs).then_with(|| self.order().cmp(&other.order()))
    }

    fn order(&self) -> Option<usize> {
        self.claimants.get(self.turn).map(|claimant| claimant.order)
    }
}

impl Ord for Class {
    /// Reversed: the heap's greatest is the one that is due first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.due(self)
    }
}

impl PartialOrd for Class {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Class {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Class {}

pub(super) fn fill(members: &[Member], size: usize) -> Vec<ServerRef> {
    let mut table = vec![ServerRef::NONE; if members.is_empty() { 0 } else { size }];
    let mut classes = classes(members, size);
    for _ in 0..table.len() {
        if let Some(mut class) = classes.peek_mut() {
            class.claim(&mut table);
        }
    }
    table
}

fn classes(members: &[Member], size: usize) -> BinaryHeap<Class> {
    let mut by_weight: BTreeMap<u64, Vec<Claimant>> = BTreeMap::new();
    for claimant in claimants(members, size) {
        by_weight.entry(claimant.weight).or_default().push(claimant);
    }
    let class = |(weight, claimants)| Class { weight, claimants, turn: 0, claims: 0 };
    by_weight.into_iter().map(class).collect()
}

fn claimants(members: &[Member], size: usize) -> Vec<Claimant> {
    let mut identified: Vec<(u64, &Member)> =
        members.iter().map(|member| (identity(member), member)).collect();
    identified.sort_by_key(|(identity, member)| (*identity, member.address, member.port));
    let claimant = |(order, (identity, member)): (usize, (u64, &Member))| Claimant {
        server: member.server,
        weight: u64::from(member.weight),
        order,
        next: modulo(identity, size),
        skip: modulo(identity.rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7, size - 1) + 1,
    };
    identified.into_iter().enumerate().map(claimant).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "the remainder is below a usize")]
fn modulo(value: u64, by: usize) -> usize {
    (value % by as u64) as usize
}

/// FNV-1a over address and port, finished as in `SplitMix64`: the same on every director.
fn identity(member: &Member) -> u64 {
    let bytes = member.address.octets().into_iter().chain(member.port.to_be_bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

#[cfg(test)]
mod tests {
    use super::super::{Scheduler, tests::*};
    use super::*;
    use proptest::prelude::*;

    /// The paper's pseudo-code (section 3.4), for equal weights.
    fn paper(members: &[Member]) -> Vec<ServerRef> {
        let size = table_size(members.len());
        let sorted = claimants(members, size);
        let permutation =
            |claimant: &Claimant| (0..size).map(|j| (claimant.next + j * claimant.skip) % size).collect();
        let permutations: Vec<Vec<usize>> = sorted.iter().map(permutation).collect();
        let mut next = vec![0; sorted.len()];
        let mut entry = vec![ServerRef::NONE; size];
        let mut filled = 0;
        loop {
            for (i, claimant) in sorted.iter().enumerate() {
                while entry[permutations[i][next[i]]] != ServerRef::NONE {
                    next[i] += 1;
                }
                entry[permutations[i][next[i]]] = claimant.server;
                filled += 1;
                if filled == size {
                    return entry;
                }
            }
        }
    }

    #[test]
    fn equal_weights_give_the_table_of_the_paper() {
        for count in [1, 2, 7, 30] {
            let members = members(&vec![1; count]);
            assert_eq!(Scheduler::Mh.fill(&members), paper(&members), "{count} servers");
        }
    }

    /// Each claim goes to the server whose time comes first, of all servers.
    fn by_time(members: &[Member]) -> Vec<ServerRef> {
        let size = table_size(members.len());
        let mut all: Vec<(Claimant, u64)> =
            claimants(members, size).into_iter().map(|one| (one, 0)).collect();
        let mut table = vec![ServerRef::NONE; size];
        for _ in 0..size {
            // Whole numbers, as all weights divide the product.
            let time = |(one, claims): &(Claimant, u64)| ((2 * claims + 1) * 5_040 / one.weight, one.order);
            let first = all.iter_mut().min_by_key(|one| time(one)).unwrap();
            first.0.claim(&mut table);
            first.1 += 1;
        }
        table
    }

    #[test]
    fn weights_give_the_table_of_all_times_in_order() {
        let rows: [&[u32]; 5] =
            [&[1, 2, 3, 4, 5], &[7, 7, 1, 1, 3, 7], &[2, 4, 8, 2, 4, 8], &[1, 1, 1, 10], &[9, 6]];
        for weights in rows {
            let members = members(weights);
            assert_eq!(Scheduler::Mh.fill(&members), by_time(&members), "{weights:?}");
        }
    }

    #[test]
    fn the_order_of_members_does_not_matter() {
        let members = members(&[1, 2, 3, 4]);
        let mut reversed = members.clone();
        reversed.reverse();
        assert_eq!(Scheduler::Mh.fill(&members), Scheduler::Mh.fill(&reversed));
    }

    #[test]
    fn under_one_percent_moves_beyond_the_necessary() {
        let mut all = members(&[1; 100]);
        let before = Scheduler::Mh.fill(&all);
        all[99].weight = 0;
        let after = Scheduler::Mh.fill(&all);
        let moved = before.iter().zip(&after).filter(|(old, new)| old != new && old.id() != 100).count();
        assert!(moved * 100 < before.len(), "{moved} of {}", before.len());
    }

    #[test]
    fn extreme_weights_are_right() {
        let table = Scheduler::Mh.fill(&members(&[65_535, 1, 1]));
        let shares = shares(&table);
        assert!(shares[&1] >= table.len() - 3, "{shares:?}");
    }

    proptest! {
        #[test]
        fn shares_follow_the_weights(weights in prop::collection::vec(1_u32..1000, 1..20)) {
            let table = Scheduler::Mh.fill(&members(&weights));
            let shares = shares(&table);
            let total: u32 = weights.iter().sum();
            for (n, weight) in weights.iter().enumerate() {
                let size = f64::from(u32::try_from(table.len()).unwrap());
                let want = size * f64::from(*weight) / f64::from(total);
                let got = shares.get(&(u32::try_from(n).unwrap() + 1)).copied().unwrap_or(0);
                let got = f64::from(u32::try_from(got).unwrap());
                prop_assert!((got - want).abs() <= 2.0, "server {n}: {got}, wanted {want}");
            }
        }
    }
}
