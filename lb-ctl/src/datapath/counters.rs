//! The counters, summed over CPUs, over the servers of a service, and over those of a method.
//!
//! Programs count what they send on once, for the server. When the id of a server, or of a service, is to be given out
//! again, what it counted is added to what `SERVICE_COUNTERS` holds; element 0 is for services that are no more.

use super::capacities::Capacities;
use super::error::Result;
use super::map::PerCpu;
use super::maps::Maps;
use lb_common::counters::{Count, Retired, Traffic};
use lb_common::server::{Method, Server, ServerRef};
use lb_common::verdict::{self, REASON_COUNTERS, Reason};
use std::collections::BTreeMap;

/// What was counted since the maps were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Every reason; the flag says whether the client was answered.
    pub reasons: Vec<(Reason, bool, Count)>,
    /// Services, by id.
    pub services: BTreeMap<u32, Traffic>,
    /// Servers, by id.
    pub servers: BTreeMap<u32, Traffic>,
}

/// Element of `SERVICE_COUNTERS` for services that were removed.
const FORMER: u32 = 0;

impl Maps {
    /// All counters.
    pub(super) fn counted(&self) -> Result<Counted> {
        let mut counted = Counted { reasons: reasons(&self.reason_counters)?, ..Counted::default() };
        let mut retired = BTreeMap::new();
        self.service_counters.for_each(|id, value| {
            retired.insert(*id, *value);
            Ok(())
        })?;
        let mut methods = Retired::default();
        for (id, retired) in &retired {
            add(&mut counted.services, *id, retired.total());
            methods = methods.and(retired);
        }
        for (id, server) in (1..self.servers.entries()).filter_map(|id| Some((id, self.known_server(id)?))) {
            let traffic = self.counted_by(id)?;
            add(&mut counted.servers, id, traffic);
            let is_folded = |retired: &Retired| retired.folding == reference(id, &server);
            if !retired.get(&self.place_of(&server)).is_some_and(is_folded) {
                add(&mut counted.services, self.place_of(&server), traffic);
                methods =
                    Method::from_byte(server.method).map_or(methods, |method| methods.with(method, traffic));
            }
        }
        for (reason, _, count) in &mut counted.reasons {
            *count = sum(&[*count, forwarded(*reason, &methods)]);
        }
        Ok(counted)
    }

    /// The traffic of servers, by id.
    pub(super) fn server_traffic(&self, ids: &[u32]) -> Result<BTreeMap<u32, Traffic>> {
        ids.iter().map(|id| Ok((*id, self.counted_by(*id)?))).collect()
    }

    fn counted_by(&self, server: u32) -> Result<Traffic> {
        Ok(self.server_counters.get(server)?.into_iter().fold(Traffic::default(), Traffic::and))
    }

    /// Adds what a server counted to its service's. It is gone: nothing counts there any more.
    ///
    /// An agent that is killed between the writes leaves a note of it, so that nothing is counted twice.
    pub(super) fn retire_server(&self, id: u32) -> Result<()> {
        let traffic = self.counted_by(id)?;
        if traffic == Traffic::default() {
            return Ok(());
        }
        let Some(server) = self.known_server(id) else { return self.server_counters.clear(id) };
        let place = self.place_of(&server);
        let folding = reference(id, &server);
        let retired = self.settled(place, folding)?;
        let sum = match Method::from_byte(server.method) {
            Some(method) if retired.folding != folding => retired.with(method, traffic),
            _ => retired,
        };
        self.service_counters.set(&place, &Retired { folding, ..sum })?;
        self.server_counters.clear(id)?;
        self.service_counters.set(&place, &Retired { folding: ServerRef::NONE, ..sum })
    }

    /// The element of `SERVICE_COUNTERS` for a server.
    fn place_of(&self, server: &Server) -> u32 {
        if server.service < self.service_counters.entries() { server.service } else { FORMER }
    }

    /// Adds what the former servers of a service counted to what those of former services did, by one call.
    pub(super) fn retire_service(&self, id: u32) -> Result<()> {
        let own = self.settled(id, ServerRef::NONE)?;
        if own == Retired::default() {
            return Ok(());
        }
        let all = self.settled(FORMER, ServerRef::NONE)?.and(&own);
        self.service_counters.set_all(&[FORMER, id], &[all, Retired::default()])
    }

    /// The same for all servers and services that tables of `capacities` would not have: they are gone.
    pub(super) fn retire_beyond(&self, capacities: &Capacities) -> Result<()> {
        (capacities.servers..self.servers.entries()).try_for_each(|id| self.retire_server(id))?;
        (capacities.services..self.service_counters.entries()).try_for_each(|id| self.retire_service(id))
    }

    /// An element of `SERVICE_COUNTERS`. A server that an agent was killed over is finished, but for `present`.
    fn settled(&self, place: u32, present: ServerRef) -> Result<Retired> {
        let retired = self.service_counters.get(&place)?.unwrap_or_default();
        let folding = retired.folding;
        if folding == ServerRef::NONE || folding == present {
            return Ok(retired);
        }
        if self.server(folding.id()).is_some_and(|server| reference(folding.id(), &server) == folding) {
            self.server_counters.clear(folding.id())?;
        }
        Ok(Retired { folding: ServerRef::NONE, ..retired })
    }
}

const fn reference(id: u32, server: &Server) -> ServerRef {
    ServerRef::new(id, server.generation)
}

fn add(all: &mut BTreeMap<u32, Traffic>, id: u32, traffic: Traffic) {
    let sum = all.entry(id).or_default();
    *sum = sum.and(traffic);
}

/// The packets of servers that a reason stands for; none for most.
fn forwarded(reason: Reason, methods: &Retired) -> Count {
    let [dr, nat, ipip] = methods.methods;
    let rows = [
        (Reason::ForwardedDr, dr.in_packets, dr.in_bytes),
        (Reason::ForwardedNat, nat.in_packets, nat.in_bytes),
        (Reason::ForwardedIpip, ipip.in_packets, ipip.in_bytes),
        (Reason::RepliedNat, nat.out_packets, nat.out_bytes),
    ];
    let row = rows.into_iter().find(|(of, ..)| *of == reason);
    row.map_or_else(Count::default, |(_, packets, bytes)| Count { packets, bytes })
}

/// Every reason's own counter; the flag says whether the sender was answered.
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
