//! Round robin: one slot each, whatever the weight above 0.

use super::Member;
use crate::server::ServerRef;
use alloc::vec::Vec;

pub(super) fn fill(members: &[Member]) -> Vec<ServerRef> {
    members.iter().map(|member| member.server).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Scheduler, tests::*};
    use std::vec::Vec;

    #[test]
    fn each_member_has_one_slot_in_order() {
        let order: Vec<_> =
            Scheduler::Rr.fill(&members(&[5, 1, 3])).iter().map(|server| server.id()).collect();
        assert_eq!(order, [1, 2, 3]);
    }
}
