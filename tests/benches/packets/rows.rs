//! Nanoseconds a packet, path by path.

use anyhow::{Result, ensure};
use lb_common::scheduler::Scheduler;
use lb_common::server::Method;
use lb_common::verdict::Reason;
use lb_ctl::datapath::Datapath;
use lb_tests::program::Action;

use crate::harness::Harness;
use crate::measure::{self, Path, ROUNDS, Take, Walk, counts};
use crate::site::{self, Kind, Site};

/// Flows that are opened at once: the table of first packets holds them. A call costs a grace period of the kernel.
const OPENED: u32 = 1 << 16;
/// Room for their first packets: both sides of nat, on an LRU that is never exact.
pub(crate) const HALF_OPEN: (&str, u32) = ("HALF_OPEN", 1 << 19);
/// The numbers of flows, and what rows call them.
pub(crate) const FLOWS: [(u32, &str); 3] = [(1, "1"), (1 << 16, "64k"), (1 << 20, "1M")];

/// IPv4 and IPv6, TCP and UDP: (v6, udp).
pub(crate) const KINDS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

/// The programs that do the least. They count nothing.
pub(crate) fn yardsticks(harness: &mut Harness, rows: Take<'_>) -> Result<()> {
    let site = Site { scheduler: Scheduler::Mh, method: Method::Dr, v6: false, udp: false, servers: 1 };
    let packets = site.packets(Kind::Later, 1);
    for (name, action) in [("tx", Action::Tx), ("push", Action::Tx), ("redirect", Action::Redirect)] {
        harness.take_yardstick(name)?;
        let name = format!("yardstick-{name}");
        let path = Path { packets: &packets, expected: &[], action, reason: Reason::NotReady };
        let mut walk = Walk::begin(harness, &name, path)?;
        let rounds = (0..ROUNDS).map(|_| walk.round(harness)).collect::<Result<_>>()?;
        rows(&name, rounds)?;
    }
    Ok(())
}

/// Every scheduler with every method, family, protocol and number of flows.
pub(crate) fn forwarding(harness: &mut Harness, wanted: &dyn Fn(&str) -> bool, rows: Take<'_>) -> Result<()> {
    for scheduler in [Scheduler::Mh, Scheduler::Sh, Scheduler::Wrr] {
        for method in [Method::Dr, Method::Nat, Method::Ipip] {
            for (v6, udp) in KINDS {
                let site = Site { scheduler, method, v6, udp, servers: 8 };
                let path = (Kind::Later, forwarded(method));
                by_flows(harness, site, (&name_of(site), path), (wanted, &mut *rows))?;
            }
        }
    }
    Ok(())
}

/// Answers of nat servers.
pub(crate) fn replies(harness: &mut Harness, wanted: &dyn Fn(&str) -> bool, rows: Take<'_>) -> Result<()> {
    for (v6, udp) in KINDS {
        let site = Site { scheduler: Scheduler::Mh, method: Method::Nat, v6, udp, servers: 1 };
        let name = format!("nat-reply-{}-{}", family(v6), protocol(udp));
        by_flows(harness, site, (&name, (Kind::Reply, Reason::RepliedNat)), (wanted, &mut *rows))?;
    }
    Ok(())
}

/// The same packets of few and of many known flows.
fn by_flows(
    harness: &mut Harness,
    site: Site,
    (name, (kind, reason)): (&str, (Kind, Reason)),
    (wanted, rows): (&dyn Fn(&str) -> bool, Take<'_>),
) -> Result<()> {
    let named = FLOWS.map(|(flows, word)| (flows, format!("{name}-{word}")));
    let asked: Vec<_> = named.into_iter().filter(|(_, name)| wanted(name)).collect();
    let Some((most, _)) = asked.last() else { return Ok(()) };
    let datapath = load(site, *most)?;
    harness.take(&datapath)?;
    let mut opened = 0;
    for (flows, name) in asked {
        open(harness, site, opened..flows)?;
        opened = flows;
        let (packets, expected) = (site.packets(kind, flows), site.expected(kind));
        let path = Path { packets: &packets, expected: &expected, action: Action::Tx, reason };
        rows(&name, measure::rounds(harness, &name, path, &|| counts(&datapath))?)?;
    }
    Ok(())
}

/// What is not a known flow of a service.
pub(crate) fn others(harness: &mut Harness, wanted: &dyn Fn(&str) -> bool, rows: Take<'_>) -> Result<()> {
    let site = Site { scheduler: Scheduler::Mh, method: Method::Dr, v6: false, udp: false, servers: 8 };
    let empty = Site { servers: 0, ..site };
    let tracked = Site { scheduler: Scheduler::Wrr, ..site };
    let table: [(&str, Site, Kind, u32, Action, Reason); 4] = [
        ("pass-v4-tcp", site, Kind::NotOurs, 1, Action::Pass, Reason::NotAService),
        ("no-server-v4-tcp", empty, Kind::First, 1, Action::Drop, Reason::NoServer),
        ("new-v4-tcp", tracked, Kind::First, 1 << 24, Action::Tx, Reason::ForwardedDr),
        ("new-full-v4-tcp", tracked, Kind::First, 1 << 24, Action::Tx, Reason::ForwardedDr),
    ];
    for (name, site, kind, flows, action, reason) in table.into_iter().filter(|(name, ..)| wanted(name)) {
        let full = name.starts_with("new-full");
        let datapath = if full { load_full(harness, site)? } else { usual(site)? };
        harness.take(&datapath)?;
        let packets = site.packets(kind, flows);
        let expected = if action == Action::Drop { Vec::new() } else { site.expected(kind) };
        let path = Path { packets: &packets, expected: &expected, action, reason };
        rows(name, measure::rounds(harness, name, path, &|| counts(&datapath))?)?;
    }
    Ok(())
}

/// Room for flows of a site: for a million if there are several, so that a row does not depend on which others are asked
/// for. What is read at random places is larger in a larger table.
pub(crate) fn sizes(site: Site, flows: u32) -> [(&'static str, u32); 3] {
    let sides = if site.method == Method::Nat { 2 } else { 1 };
    let room = if flows > 1 { 1 << 20 } else { 1 << 16 };
    [HALF_OPEN, ("CONNECTIONS", room * sides + (1 << 12)), ("SLOTS", 1 << 17)]
}

pub(crate) fn load(site: Site, flows: u32) -> Result<Datapath> {
    site::load(&sizes(site, flows), &site.tables(0))
}

/// The usual table of first packets, and room for many connections.
pub(crate) const USUAL: [(&str, u32); 2] = [("CONNECTIONS", 1 << 20), ("SLOTS", 1 << 17)];

/// The program with the usual table of first packets.
pub(crate) fn usual(site: Site) -> Result<Datapath> {
    site::load(&USUAL, &site.tables(0))
}

/// The program with a full table of connections, and the usual one of first packets.
fn load_full(harness: &mut Harness, site: Site) -> Result<Datapath> {
    const FEW: u32 = 1 << 12;
    let datapath = site::load(&[("CONNECTIONS", FEW), ("SLOTS", 1 << 17)], &site.tables(0))?;
    harness.take(&datapath)?;
    for first in (0..4 * FEW).step_by(FEW as usize) {
        harness.run(&site.packets(Kind::First, 1 << 24), first, FEW)?;
        harness.run(&site.packets(Kind::Later, 1 << 24), first, FEW)?;
    }
    ensure!(counts(&datapath)?.contains_key(Reason::NotRemembered.word()), "the table is not full");
    Ok(datapath)
}

/// Opens flows: two packets of each, so that they are remembered.
pub(crate) fn open(harness: &mut Harness, site: Site, flows: std::ops::Range<u32>) -> Result<()> {
    let (one, two) = (site.packets(Kind::First, 1 << 24), site.packets(Kind::Later, 1 << 24));
    let mut first = flows.start;
    while first < flows.end {
        let count = OPENED.min(flows.end - first);
        harness.run(&one, first, count)?;
        harness.run(&two, first, count)?;
        first += count;
    }
    Ok(())
}

pub(crate) const fn forwarded(method: Method) -> Reason {
    match method {
        Method::Dr => Reason::ForwardedDr,
        Method::Nat => Reason::ForwardedNat,
        Method::Ipip => Reason::ForwardedIpip,
    }
}

pub(crate) fn name_of(site: Site) -> String {
    let scheduler = site.scheduler.name();
    let method = match site.method {
        Method::Dr => "dr",
        Method::Nat => "nat",
        Method::Ipip => "ipip",
    };
    format!("{scheduler}-{method}-{}-{}", family(site.v6), protocol(site.udp))
}

pub(crate) const fn family(v6: bool) -> &'static str {
    if v6 { "v6" } else { "v4" }
}

pub(crate) const fn protocol(udp: bool) -> &'static str {
    if udp { "udp" } else { "tcp" }
}
