//! Source hash: a client's address chooses its slot, in a table of whole weighted turns.

use super::{Member, wrr};
use crate::server::ServerRef;
use alloc::vec::Vec;

/// Fewest slots, as in Linux IPVS (`net/netfilter/ipvs/ip_vs_sh.c`).
const MIN_TABLE: usize = 256;

pub(super) fn fill(members: &[Member]) -> Vec<ServerRef> {
    let turn = wrr::fill(members);
    let turns = MIN_TABLE.div_ceil(turn.len().max(1));
    turn.repeat(turns)
}

#[cfg(test)]
mod tests {
    use super::super::{Scheduler, tests::*};

    #[test]
    fn shares_are_exactly_the_weights() {
        let table = Scheduler::Sh.fill(&members(&[3, 2, 1]));
        let shares = shares(&table);
        assert!(table.len() >= 256);
        assert_eq!((shares[&1] * 2, shares[&2]), (shares[&2] * 3, shares[&3] * 2));
    }
}
