//! Weighted round robin: one turn is exact in its shares and spreads each server evenly.

use super::Member;
use crate::server::ServerRef;
use alloc::vec::Vec;

/// Most slots of a turn. Weights whose turn is longer are scaled down, none below one slot.
pub const MAX_TURN: u64 = 65_536;

/// Slots of each member in one turn, in the order of `members`, and whether they are exactly in proportion.
pub fn turn(members: &[Member]) -> (Vec<u32>, bool) {
    let divisor = members.iter().fold(0, |divisor, member| gcd(divisor, member.weight)).max(1);
    let weights: Vec<u32> = members.iter().map(|member| member.weight / divisor).collect();
    let total: u64 = weights.iter().copied().map(u64::from).sum();
    if total <= MAX_TURN {
        return (weights, true);
    }
    let scale = |weight: u32| u32::try_from(u64::from(weight) * MAX_TURN / total).unwrap_or(u32::MAX).max(1);
    (weights.into_iter().map(scale).collect(), false)
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The slot number `k` of a member with `n` slots stands at the point (2k + 1) / 2n of the turn.
pub(super) fn fill(members: &[Member]) -> Vec<ServerRef> {
    let (counts, _) = turn(members);
    let mut points: Vec<(u64, u64, usize, ServerRef)> = Vec::new();
    for (place, (member, count)) in members.iter().zip(counts).enumerate() {
        let count = u64::from(count);
        points.extend((0..count).map(|k| (2 * k + 1, 2 * count, place, member.server)));
    }
    points.sort_unstable_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1)).then(a.2.cmp(&b.2)));
    points.into_iter().map(|(_, _, _, server)| server).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Scheduler, tests::*};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_turn_of_3_2_1_is_exact_and_even() {
        let order: Vec<_> =
            Scheduler::Wrr.fill(&members(&[3, 2, 1])).iter().map(|server| server.id()).collect();
        assert_eq!(order, [1, 2, 1, 3, 2, 1]);
    }

    #[test]
    fn a_turn_is_divided_by_the_common_divisor() {
        assert_eq!(turn(&members(&[300, 200, 100])), (alloc::vec![3, 2, 1], true));
    }

    #[test]
    fn a_turn_too_long_is_scaled_and_says_so() {
        let (counts, exact) = turn(&members(&[65_535, 65_534, 1]));
        assert!(!exact);
        assert_eq!(counts, [32_768, 32_767, 1]);
    }

    proptest! {
        #[test]
        fn shares_are_exact_and_gaps_even(weights in prop::collection::vec(1_u32..40, 1..12)) {
            let members = members(&weights);
            let table = Scheduler::Wrr.fill(&members);
            let (counts, exact) = turn(&members);
            prop_assert!(exact);
            let shares = shares(&table);
            for (n, count) in counts.iter().enumerate() {
                let id = u32::try_from(n).unwrap() + 1;
                prop_assert_eq!(shares[&id], *count as usize);
                let places: Vec<usize> = (0..table.len()).filter(|place| table[*place].id() == id).collect();
                let fair = table.len() / *count as usize;
                for pair in places.windows(2) {
                    prop_assert!(pair[1] - pair[0] <= 2 * fair + members.len());
                }
            }
        }
    }
}
