//! The same paths beside more services, and with more servers.

use anyhow::Result;
use lb_common::scheduler::Scheduler;
use lb_common::server::Method;
use lb_common::verdict::Reason;
use lb_tests::program::Action;

use crate::harness::Harness;
use crate::measure::{self, Path, Take, counts};
use crate::rows::{HALF_OPEN, name_of, open};
use crate::site::{self, Kind, Site};

/// Room for the largest of each.
const SIZES: [(&str, u32); 9] = [
    HALF_OPEN,
    ("SERVICES", 16_384),
    ("SERVICE_COUNTERS", 16_384),
    ("SEQUENCE", 16_384),
    ("VIEWS", 32_768),
    ("SERVERS", 32_768),
    ("SERVER_COUNTERS", 32_768),
    ("CONNECTIONS", 1 << 17),
    ("SLOTS", 2 << 20),
];

/// `wrr`, whose turns are few slots, and `mh`, whose tables grow with the servers.
pub(crate) fn rows(harness: &mut Harness, wanted: &dyn Fn(&str) -> bool, rows: Take<'_>) -> Result<()> {
    let services = [(0, "1"), (99, "100"), (999, "1k"), (9_999, "10k")];
    let servers = [(10, "10"), (1_000, "1k"), (10_000, "10k")];
    for scheduler in [Scheduler::Wrr, Scheduler::Mh] {
        let base = Site { scheduler, method: Method::Dr, v6: false, udp: false, servers: 8 };
        for (others, word) in services {
            by_flows(harness, (base, others), &format!("services-{word}"), (wanted, &mut *rows))?;
        }
        for (servers, word) in servers {
            let site = Site { servers, ..base };
            by_flows(harness, (site, 0), &format!("servers-{word}"), (wanted, &mut *rows))?;
        }
    }
    Ok(())
}

/// The site beside `others` services, with one flow and with many.
fn by_flows(
    harness: &mut Harness,
    (site, others): (Site, u16),
    what: &str,
    (wanted, rows): (&dyn Fn(&str) -> bool, Take<'_>),
) -> Result<()> {
    let named =
        [(1, "1"), (1 << 16, "64k")].map(|(flows, word)| (flows, format!("{}-{word}-{what}", name_of(site))));
    let asked: Vec<_> = named.into_iter().filter(|(_, name)| wanted(name)).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let datapath = site::load(&SIZES, &site.tables(others))?;
    harness.take(&datapath)?;
    let mut opened = 0;
    for (flows, name) in asked {
        open(harness, site, opened..flows)?;
        opened = flows;
        let (packets, expected) = (site.packets(Kind::Later, flows), site.expected(Kind::Later));
        let reason = Reason::ForwardedDr;
        let path = Path { packets: &packets, expected: &expected, action: Action::Tx, reason };
        rows(&name, measure::rounds(harness, &name, path, &|| counts(&datapath))?)?;
    }
    Ok(())
}
