//! Nanoseconds a packet, path by path.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use lb_common::scheduler::Scheduler;
use lb_common::server::Method;
use lb_common::verdict::Reason;
use lb_ctl::datapath::Datapath;
use lb_tests::measure::{Row, Sink};
use lb_tests::packet::describe;
use lb_tests::program::Action;

use crate::harness::{Harness, Packets};
use crate::site::{self, Kind, Site};

/// Rounds of a row.
const ROUNDS: u32 = 15;
/// Packets of a round.
const PACKETS: u32 = 1 << 18;
/// Flows that are opened at once: the table of first packets holds them. A call costs a grace period of the kernel.
const OPENED: u32 = 1 << 16;
/// Room for their first packets: both sides of nat, on an LRU that is never exact.
const HALF_OPEN: (&str, u32) = ("HALF_OPEN", 1 << 19);
/// The numbers of flows, and what rows call them.
const FLOWS: [(u32, &str); 3] = [(1, "1"), (1 << 16, "64k"), (1 << 20, "1M")];

/// IPv4 and IPv6, TCP and UDP: (v6, udp).
const KINDS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

/// What a path is measured with.
struct Path<'p> {
    packets: &'p Packets,
    /// One of them is what a packet of flow 0 leaves as; anything if there are none.
    expected: &'p [Vec<u8>],
    action: Action,
    reason: Reason,
}

/// The programs that do the least.
pub(crate) fn yardsticks(harness: &mut Harness, rows: Sink<'_>) -> Result<()> {
    let site = Site { scheduler: Scheduler::Mh, method: Method::Dr, v6: false, udp: false, servers: 1 };
    let packets = site.packets(Kind::Later, 1);
    for (name, action) in [("tx", Action::Tx), ("push", Action::Tx), ("redirect", Action::Redirect)] {
        harness.take_yardstick(name)?;
        let mut rounds = Vec::new();
        for _ in 0..=ROUNDS {
            let ran = harness.run(&packets, 0, PACKETS)?;
            ensure!(ran.action == action, "the yardstick {name} gave {:?}", ran.action);
            rounds.push(nanoseconds(ran.took, PACKETS));
        }
        rows(row(&format!("yardstick-{name}"), rounds)?)?;
    }
    Ok(())
}

/// Every scheduler with every method, family, protocol and number of flows.
pub(crate) fn forwarding(harness: &mut Harness, wanted: &dyn Fn(&str) -> bool, rows: Sink<'_>) -> Result<()> {
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
pub(crate) fn replies(harness: &mut Harness, wanted: &dyn Fn(&str) -> bool, rows: Sink<'_>) -> Result<()> {
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
    (wanted, rows): (&dyn Fn(&str) -> bool, Sink<'_>),
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
        rows(measure(harness, &datapath, &name, &path)?)?;
    }
    Ok(())
}

/// What is not a known flow of a service.
pub(crate) fn others(harness: &mut Harness, wanted: &dyn Fn(&str) -> bool, rows: Sink<'_>) -> Result<()> {
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
        let (packets, expected) = (site.packets(kind, flows), site.expected(kind));
        let path = Path { packets: &packets, expected: &expected, action, reason };
        rows(measure(harness, &datapath, name, &path)?)?;
    }
    Ok(())
}

/// The same path beside more services, and with more servers.
pub(crate) fn growth(harness: &mut Harness, wanted: &dyn Fn(&str) -> bool, rows: Sink<'_>) -> Result<()> {
    const SIZES: [(&str, u32); 9] = [
        HALF_OPEN,
        ("SERVICES", 16_384),
        ("SERVICE_COUNTERS", 16_384),
        ("SEQUENCE", 16_384),
        ("VIEWS", 32_768),
        ("SERVERS", 32_768),
        ("SERVER_COUNTERS", 32_768),
        ("CONNECTIONS", 1 << 17),
        ("SLOTS", 1 << 17),
    ];
    let base = Site { scheduler: Scheduler::Wrr, method: Method::Dr, v6: false, udp: false, servers: 8 };
    let services = [(0, "1"), (99, "100"), (999, "1k"), (9_999, "10k")]
        .map(|(others, word)| (base, others, "services", word));
    let servers = [(10, "10"), (1_000, "1k"), (10_000, "10k")]
        .map(|(servers, word)| (Site { servers, ..base }, 0, "servers", word));
    for (site, others, what, word) in services.into_iter().chain(servers) {
        for (flows, name) in [(1, "1"), (1 << 16, "64k")] {
            let name = format!("{}-{name}-{what}-{word}", name_of(site));
            if !wanted(&name) {
                continue;
            }
            let datapath = site::load(&SIZES, &site.tables(others))?;
            harness.take(&datapath)?;
            open(harness, site, 0..flows)?;
            let (packets, expected) = (site.packets(Kind::Later, flows), site.expected(Kind::Later));
            let reason = Reason::ForwardedDr;
            let path = Path { packets: &packets, expected: &expected, action: Action::Tx, reason };
            rows(measure(harness, &datapath, &name, &path)?)?;
        }
    }
    Ok(())
}

/// Measures one row: the output of one packet and the counters of all are as they must be, or it fails.
fn measure(harness: &mut Harness, datapath: &Datapath, name: &str, path: &Path<'_>) -> Result<Row> {
    let Path { packets, expected, action, reason } = path;
    let one = harness.run(packets, 0, 1)?;
    ensure!(one.action == *action, "{name}: {:?}, wanted {action:?}", one.action);
    ensure!(
        *action == Action::Drop || expected.contains(&one.frame),
        "{name}: this left:\n{}\nwanted, or the like:\n{}",
        describe(&one.frame),
        expected.first().map(|frame| describe(frame)).unwrap_or_default()
    );
    let mut first = packets.flows;
    let mut rounds = Vec::new();
    let before = counts(datapath)?;
    for _ in 0..=ROUNDS {
        let ran = harness.run(packets, first, PACKETS)?;
        first = first.wrapping_add(PACKETS);
        rounds.push(nanoseconds(ran.took, PACKETS));
    }
    let mut moved = counts(datapath)?;
    for (reason, packets) in before {
        moved.entry(reason).and_modify(|now| *now -= packets);
    }
    moved.retain(|_, packets| *packets > 0);
    let wanted = BTreeMap::from([(reason.word(), u64::from(PACKETS) * u64::from(ROUNDS + 1))]);
    ensure!(moved == wanted, "{name}: these counters moved: {moved:?}, wanted {wanted:?}");
    row(name, rounds)
}

/// Of all rounds but the first, which warms up.
fn row(name: &str, rounds: Vec<f64>) -> Result<Row> {
    lb_tests::measure::row(name, "ns", rounds.into_iter().skip(1).collect())
}

fn counts(datapath: &Datapath) -> Result<BTreeMap<&'static str, u64>> {
    let mut counts = BTreeMap::new();
    for (reason, _, count) in datapath.reasons()? {
        *counts.entry(reason.word()).or_default() += count.packets;
    }
    Ok(counts)
}

fn load(site: Site, flows: u32) -> Result<Datapath> {
    let sides = if site.method == Method::Nat { 2 } else { 1 };
    site::load(
        &[HALF_OPEN, ("CONNECTIONS", (flows.max(1 << 16)) * sides + (1 << 12)), ("SLOTS", 1 << 17)],
        &site.tables(0),
    )
}

/// The program with the usual table of first packets.
fn usual(site: Site) -> Result<Datapath> {
    site::load(&[("CONNECTIONS", 1 << 20), ("SLOTS", 1 << 17)], &site.tables(0))
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
fn open(harness: &mut Harness, site: Site, flows: std::ops::Range<u32>) -> Result<()> {
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

fn nanoseconds(took: Duration, packets: u32) -> f64 {
    took.as_secs_f64() * 1e9 / f64::from(packets)
}

const fn forwarded(method: Method) -> Reason {
    match method {
        Method::Dr => Reason::ForwardedDr,
        Method::Nat => Reason::ForwardedNat,
        Method::Ipip => Reason::ForwardedIpip,
    }
}

fn name_of(site: Site) -> String {
    let scheduler = site.scheduler.name();
    let method = match site.method {
        Method::Dr => "dr",
        Method::Nat => "nat",
        Method::Ipip => "ipip",
    };
    format!("{scheduler}-{method}-{}-{}", family(site.v6), protocol(site.udp))
}

const fn family(v6: bool) -> &'static str {
    if v6 { "v6" } else { "v4" }
}

const fn protocol(udp: bool) -> &'static str {
    if udp { "udp" } else { "tcp" }
}
