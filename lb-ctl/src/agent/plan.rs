//! The order in which the kernel's tables are changed.

use super::ids::Quarantine;
use crate::datapath::tables::Write;
use std::collections::BTreeMap;

/// What to write, in order, and what is free afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The writes.
    pub writes: Vec<Write>,
    /// What no table names any more once they are done.
    pub freed: Quarantine,
    /// Whether slots that are to follow a change were held back.
    pub held: bool,
    /// The writes that bring back the servers which these take away, while their ids are nobody else's.
    pub revive: Vec<Write>,
}

/// A stage of a change. They are done in the order given here, each whole before the next begins.
///
/// Whatever a table names is written before the entry that names it, and taken away after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// What servers had counted whose service's id is given out again.
    Counters,
    /// Features of the program that the new tables need.
    FeaturesOn,
    /// Devices that next hops will name.
    Devices,
    /// Hosts that nat servers will name.
    Hosts,
    /// Slots whose servers begin or end to take new flows.
    Disturbed,
    /// Servers that slots will name, next hops, and what makes a server better.
    Servers,
    /// Keys that are new, of a service whose view fits them already.
    Keys,
    /// Keys that nothing wants: before a view that no longer fits them.
    DeadKeys,
    /// Services, one after another: slots, view, the store that swaps it, then the keys that lead to it.
    Services,
    /// Keys that nothing wants and that fit the new view: a key for any port may have taken their place.
    LateKeys,
    /// Services without keys.
    DeadServices,
    /// States that take a server out of rotation: the slots that were to take its place are there.
    Drains,
    /// Servers that no slot names.
    Gone,
    /// Hosts that no server names.
    DeadHosts,
    /// Devices that no next hop names.
    DeadDevices,
    /// Features that nothing needs any more.
    FeaturesOff,
}

/// A plan in the making.
#[derive(Debug, Default)]
pub(super) struct Draft {
    stages: BTreeMap<Stage, Vec<Write>>,
    pub(super) freed: Quarantine,
    pub(super) held: bool,
    pub(super) revive: Vec<Write>,
}

impl Draft {
    pub(super) fn push(&mut self, stage: Stage, write: Write) {
        self.stages.entry(stage).or_default().push(write);
    }

    pub(super) fn finish(self) -> Plan {
        let Self { stages, freed, held, revive } = self;
        Plan { writes: stages.into_values().flatten().collect(), freed, held, revive }
    }
}
