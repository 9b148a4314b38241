//! The counters, summed over the CPUs.

use super::error::Result;
use super::map::PerCpu;
use super::maps::Maps;
use lb_common::counters::{Count, Traffic};
use lb_common::verdict::{self, REASON_COUNTERS, Reason};
use std::collections::BTreeMap;

impl Maps {
    /// Every reason's counter; the flag says whether the client was answered.
    pub(super) fn reasons(&self) -> Result<Vec<(Reason, bool, Count)>> {
        reasons(&self.reason_counters)
    }

    /// The traffic of services, by id.
    pub(super) fn service_traffic(&self, ids: &[u32]) -> Result<BTreeMap<u32, Traffic>> {
        ids.iter().map(|id| Ok((*id, total(&self.service_counters.get(*id)?)))).collect()
    }

    /// The traffic of servers, by id.
    pub(super) fn server_traffic(&self, ids: &[u32]) -> Result<BTreeMap<u32, Traffic>> {
        ids.iter().map(|id| Ok((*id, total(&self.server_counters.get(*id)?)))).collect()
    }
}

/// Every reason's counter; the flag says whether the sender was answered.
pub(super) fn reasons(counters: &PerCpu<Count>) -> Result<Vec<(Reason, bool, Count)>> {
    (0..REASON_COUNTERS)
        .filter_map(|index| Some((index, verdict::of_index(index)?)))
        .map(|(index, (reason, answered))| Ok((reason, answered, sum(&counters.get(index)?))))
        .collect()
}

fn sum(counts: &[Count]) -> Count {
    counts.iter().fold(Count::default(), |all, one| Count {
        packets: all.packets.wrapping_add(one.packets),
        bytes: all.bytes.wrapping_add(one.bytes),
    })
}

fn total(traffic: &[Traffic]) -> Traffic {
    traffic.iter().fold(Traffic::default(), |all, one| Traffic {
        connections: all.connections.wrapping_add(one.connections),
        in_packets: all.in_packets.wrapping_add(one.in_packets),
        in_bytes: all.in_bytes.wrapping_add(one.in_bytes),
        out_packets: all.out_packets.wrapping_add(one.out_packets),
        out_bytes: all.out_bytes.wrapping_add(one.out_bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_summed_over_the_cpus() {
        let one = Traffic { connections: 1, in_packets: 2, in_bytes: 3, out_packets: 4, out_bytes: 5 };
        let two = Traffic { connections: 10, in_packets: 20, in_bytes: 30, out_packets: 40, out_bytes: 50 };
        let sum = Traffic { connections: 11, in_packets: 22, in_bytes: 33, out_packets: 44, out_bytes: 55 };
        assert_eq!(total(&[one, two, Traffic::default()]), sum);
    }
}
