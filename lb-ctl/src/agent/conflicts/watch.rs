//! Which VIPs are watched, who else claimed one, and when to ask again. Does no I/O and reads no clock.

use crate::agent::state::Observed;
use crate::agent::vips::Placed;
use crate::neighbour::{Claim, Mac};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use tokio::time::Instant;

/// Questions about a VIP that is new on its interface, one at each tick: one may be lost.
const FIRST_QUESTIONS: u32 = 3;
/// Time between two questions about a VIP that nobody else has.
const CALM: Duration = Duration::from_mins(1);
/// The same while somebody else has it.
const CONFLICT: Duration = Duration::from_secs(15);
/// A conflict ends when nothing was heard of it for this long: eight questions without an answer.
const END: Duration = Duration::from_mins(2);
/// Questions at one tick, so that a thousand VIPs are no storm of broadcasts.
const QUESTIONS: usize = 50;
/// Others that are remembered for one VIP: whoever makes up MAC addresses fills no memory and no log.
const OTHERS: usize = 4;

/// Somebody else who has a VIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    pub(super) vip: IpAddr,
    pub(super) mac: Mac,
    pub(super) interface: String,
    /// When it was seen last, in seconds since 1970 (UTC).
    pub(super) seen: u64,
}

/// A question for the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) vip: IpAddr,
    pub(super) ifindex: u32,
    pub(super) mac: Mac,
    /// An address of the host for IPv6 to answer to; the unspecified one if it has none there.
    pub(super) source: Ipv6Addr,
}

/// What is watched and what was heard.
#[derive(Debug, Default)]
pub(super) struct Watch {
    vips: BTreeMap<IpAddr, Watched>,
    /// The MAC addresses of this host.
    own: BTreeSet<Mac>,
    /// The names of its interfaces.
    names: BTreeMap<u32, String>,
}

#[derive(Debug)]
struct Watched {
    place: Place,
    questions: u32,
    asked: Option<Instant>,
    others: BTreeMap<Mac, Heard>,
}

/// Where a VIP is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    ifindex: u32,
    /// `None` where nothing can be asked: an interface that is down, or no Ethernet.
    mac: Option<Mac>,
    /// Whether it is on no segment but on the host as a whole (`lo`): then any interface may tell of others.
    anywhere: bool,
    source: Ipv6Addr,
}

#[derive(Clone, Debug)]
struct Heard {
    last: Instant,
    seen: u64,
    /// The interface that it was heard on.
    interface: String,
}

impl Watch {
    /// Makes `vips` what is watched; gives the conflicts that ended by it.
    pub(super) fn follow(&mut self, vips: &Placed, observed: &Observed) -> Vec<Conflict> {
        self.own = observed.links.values().filter_map(|link| link.mac).collect();
        self.names = observed.links.iter().map(|(index, link)| (*index, link.name.clone())).collect();
        let mut before = std::mem::take(&mut self.vips);
        for (vip, name) in vips {
            let Some(place) = place(name, vips, observed) else { continue };
            let stayed = before.get(vip).is_some_and(|known| known.place.ifindex == place.ifindex);
            let known = if stayed { before.remove(vip) } else { None };
            let mut watched = known.unwrap_or_else(|| Watched::new(place.clone()));
            if watched.place.mac != place.mac {
                (watched.questions, watched.asked) = (FIRST_QUESTIONS, None);
            }
            watched.place = place;
            self.vips.insert(*vip, watched);
        }
        before.iter().flat_map(|(vip, watched)| watched.conflicts(*vip)).collect()
    }

    /// Takes note of a claim that came in by an interface; gives the conflict if it is a new one.
    pub(super) fn hear(&mut self, ifindex: u32, claim: Claim, now: Instant, clock: u64) -> Option<Conflict> {
        let watched = self.vips.get_mut(&claim.address)?;
        let place = &watched.place;
        if self.own.contains(&claim.mac) || (place.ifindex != ifindex && !place.anywhere) {
            return None;
        }
        if let Some(heard) = watched.others.get_mut(&claim.mac) {
            (heard.last, heard.seen) = (now, clock);
            return None;
        }
        if watched.others.len() >= OTHERS {
            return None;
        }
        let interface = self.names.get(&ifindex).cloned().unwrap_or_default();
        watched.others.insert(claim.mac, Heard { last: now, seen: clock, interface: interface.clone() });
        Some(Conflict { vip: claim.address, mac: claim.mac, interface, seen: clock })
    }

    /// Ends the conflicts of which nothing was heard for long.
    pub(super) fn end(&mut self, now: Instant) -> Vec<Conflict> {
        self.forget(|_, heard| now.saturating_duration_since(heard.last) >= END)
    }

    /// What to ask now, and not again before its time: what was not asked for longest comes first.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Question> {
        let mut due: Vec<_> = self.vips.iter_mut().filter(|(_, watched)| watched.is_due(now)).collect();
        due.sort_by_key(|(_, watched)| watched.asked);
        due.into_iter().take(QUESTIONS).filter_map(|(vip, watched)| watched.ask(*vip, now)).collect()
    }

    /// Every conflict, by VIP.
    pub(super) fn conflicts(&self) -> impl Iterator<Item = Conflict> {
        self.vips.iter().flat_map(|(vip, watched)| watched.conflicts(*vip))
    }

    fn forget(&mut self, is_over: impl Fn(Mac, &Heard) -> bool) -> Vec<Conflict> {
        let mut ended = Vec::new();
        for (vip, watched) in &mut self.vips {
            let over = watched.others.extract_if(.., |mac, heard| is_over(*mac, heard));
            ended.extend(over.map(|(mac, heard)| heard.conflict(*vip, mac)));
        }
        ended
    }
}

impl Watched {
    const fn new(place: Place) -> Self {
        Self { place, questions: FIRST_QUESTIONS, asked: None, others: BTreeMap::new() }
    }

    fn is_due(&self, now: Instant) -> bool {
        let pause = if self.others.is_empty() { CALM } else { CONFLICT };
        let waited = |asked| now.saturating_duration_since(asked) >= pause;
        self.place.mac.is_some() && (self.questions > 0 || self.asked.is_none_or(waited))
    }

    fn ask(&mut self, vip: IpAddr, now: Instant) -> Option<Question> {
        self.questions = self.questions.saturating_sub(1);
        self.asked = Some(now);
        let Place { ifindex, mac, source, .. } = self.place;
        Some(Question { vip, ifindex, mac: mac?, source })
    }

    fn conflicts(&self, vip: IpAddr) -> impl Iterator<Item = Conflict> {
        self.others.iter().map(move |(mac, heard)| heard.conflict(vip, *mac))
    }
}

impl Heard {
    fn conflict(&self, vip: IpAddr, mac: Mac) -> Conflict {
        Conflict { vip, mac, interface: self.interface.clone(), seen: self.seen }
    }
}

fn place(name: &str, vips: &Placed, observed: &Observed) -> Option<Place> {
    let (ifindex, link) = observed.link(name)?;
    let own = observed.addresses.iter().filter(|local| local.ifindex == ifindex);
    let sources = own.filter_map(|local| match local.address {
        IpAddr::V6(v6) if !vips.contains_key(&local.address) => Some(v6),
        IpAddr::V6(_) | IpAddr::V4(_) => None,
    });
    Some(Place {
        ifindex,
        mac: link.mac.filter(|_| link.running),
        anywhere: link.mac.is_none(),
        source: sources.min_by_key(|v6| !v6.is_unicast_link_local()).unwrap_or(Ipv6Addr::UNSPECIFIED),
    })
}

#[cfg(test)]
mod tests;
