//! The floors: programs of the harness's object with the maps of a site, as the director's program has them.

use std::path::Path as FilePath;

use anyhow::{Context as _, Result};
use aya::maps::{Array, HashMap, MapData, PerCpuArray};
use aya::{Ebpf, EbpfLoader, Pod};
use lb_common::scheduler::Scheduler;
use lb_common::server::Method;
use lb_common::verdict::Reason;
use lb_ctl::datapath::tables::{Capacities, Kernel};
use lb_tests::program::Action;
use zerocopy::transmute;

use crate::harness::{Harness, Packets, program};
use crate::measure::{self, Counts, Path, Take};
use crate::rows::{FLOWS, load, usual};
use crate::site::{Kind, Site};

const PROGRAMS: [&str; 7] =
    ["floor_pass", "floor_untracked", "floor_tunnel", "floor_tracked", "floor_reply", "floor_new", "learn"];

/// A floor: its row, the program, the packets, and whether the row is one of few and of many flows.
struct Floor {
    row: &'static str,
    program: &'static str,
    method: Method,
    kind: Kind,
    by_flows: bool,
}

/// Names of rows, as those of the paths that they are the floors of.
const FLOORS: [Floor; 7] = [
    Floor {
        row: "pass-v4-tcp",
        program: "floor_pass",
        method: Method::Dr,
        kind: Kind::NotOurs,
        by_flows: false,
    },
    Floor {
        row: "untracked-v4-tcp",
        program: "floor_untracked",
        method: Method::Dr,
        kind: Kind::Later,
        by_flows: true,
    },
    Floor {
        row: "ipip-v4-tcp",
        program: "floor_tunnel",
        method: Method::Ipip,
        kind: Kind::Later,
        by_flows: true,
    },
    Floor {
        row: "tracked-v4-tcp",
        program: "floor_tracked",
        method: Method::Dr,
        kind: Kind::Later,
        by_flows: true,
    },
    Floor {
        row: "nat-v4-tcp",
        program: "floor_tracked",
        method: Method::Nat,
        kind: Kind::Later,
        by_flows: true,
    },
    Floor {
        row: "nat-reply-v4-tcp",
        program: "floor_reply",
        method: Method::Nat,
        kind: Kind::Reply,
        by_flows: true,
    },
    Floor { row: "new-v4-tcp", program: "floor_new", method: Method::Dr, kind: Kind::First, by_flows: false },
];

/// Measures every floor that is wanted; `object` is the harness's.
pub(crate) fn rows(
    harness: &mut Harness,
    object: &FilePath,
    wanted: &dyn Fn(&str) -> bool,
    rows: Take<'_>,
) -> Result<()> {
    for floor in FLOORS {
        let name = |word: &str| format!("floor-{}-{word}", floor.row);
        let once = [(if floor.kind == Kind::First { 1 << 24 } else { 1 }, format!("floor-{}", floor.row))];
        let named = if floor.by_flows {
            FLOWS.map(|(flows, word)| (flows, name(word))).to_vec()
        } else {
            once.to_vec()
        };
        let asked: Vec<_> = named.into_iter().filter(|(_, name)| wanted(name)).collect();
        let Some((most, _)) = asked.last() else { continue };
        let servers = if floor.kind == Kind::Reply { 1 } else { 8 };
        let site = Site { scheduler: Scheduler::Mh, method: floor.method, v6: false, udp: false, servers };
        let tables = if floor.by_flows { load(site, *most)? } else { usual(site)? }.snapshot()?;
        let mut floors = Floors::load(object, &tables)?;
        let ids: Vec<u32> = tables.servers.keys().copied().collect();
        let mut learnt = 0;
        for (flows, name) in asked {
            if floor.by_flows {
                floors.learn(harness, &site.packets(Kind::Later, 1 << 24), learnt..flows)?;
                learnt = flows;
            }
            harness.take_program(program(&mut floors.ebpf, floor.program)?.fd()?)?;
            let packets = site.packets(floor.kind, flows);
            let (action, reason) = match floor.kind {
                Kind::NotOurs => (Action::Pass, Reason::NotAService),
                Kind::First | Kind::Later | Kind::Reply => (Action::Tx, Reason::ForwardedDr),
            };
            let path = Path { packets: &packets, expected: &[], action, reason };
            rows(&name, measure::rounds(harness, &name, path, &|| floors.counts(&ids))?)?;
        }
    }
    Ok(())
}

/// The object again, with maps of the sizes of a site.
struct Floors {
    ebpf: Ebpf,
}

impl Floors {
    /// Loads the object with maps as large as those of `tables`, and writes these.
    fn load(object: &FilePath, tables: &Kernel) -> Result<Self> {
        let context = || format!("cannot load {}", object.display());
        let mut loader = EbpfLoader::new();
        loader.btf(None);
        for (name, entries) in entries(&tables.capacities) {
            loader.map_max_entries(name, entries);
        }
        let mut ebpf = loader.load_file(object).with_context(context)?;
        for name in PROGRAMS {
            program(&mut ebpf, name)?.load().with_context(context)?;
        }
        let mut floors = Self { ebpf };
        floors.write(tables)?;
        Ok(floors)
    }

    fn write(&mut self, tables: &Kernel) -> Result<()> {
        self.fill("SERVICE_INDEX", tables.service_index.iter().map(|(place, word)| (*place, word.0)))?;
        let mut hosts = self.hash::<[u8; 16], u32>("NAT_HOSTS")?;
        for (address, id) in &tables.nat_hosts {
            let address: [u8; 16] = transmute!(*address);
            hosts.insert(address, *id, 0)?;
        }
        let views = tables.views.iter().map(|(index, view)| (*index, transmute!(*view)));
        self.fill::<[u8; 64]>("VIEWS", views)?;
        let servers = tables.servers.iter().map(|(id, server)| (*id, transmute!(*server)));
        self.fill::<[u8; 64]>("SERVERS", servers)?;
        let interfaces = tables.interfaces.iter();
        let interfaces = interfaces.map(|(index, interface)| (u32::from(*index), transmute!(*interface)));
        self.fill::<[u8; 12]>("INTERFACES", interfaces)?;
        self.fill::<[u8; 32]>("SETTINGS", std::iter::once((0, transmute!(tables.settings))))?;
        self.fill("SERVICES", tables.services.iter().map(|(id, view)| (*id, u64::from(*view))))?;
        let slots =
            tables.slots.iter().flat_map(|(first, slots)| (*first..).zip(slots.iter().map(|slot| slot.0)));
        self.fill("SLOTS", slots)
    }

    fn hash<K: Pod, V: Pod>(&mut self, name: &str) -> Result<HashMap<&mut MapData, K, V>> {
        Ok(HashMap::try_from(self.ebpf.map_mut(name).with_context(|| format!("no map {name}"))?)?)
    }

    fn fill<V: Pod>(&mut self, name: &str, elements: impl Iterator<Item = (u32, V)>) -> Result<()> {
        let map = self.ebpf.map_mut(name).with_context(|| format!("no map {name}"))?;
        let mut array: Array<&mut MapData, V> = Array::try_from(map)?;
        for (index, value) in elements {
            array.set(index, value, 0)?;
        }
        Ok(())
    }

    /// Puts flows into the table of connections, both sides of a nat flow.
    fn learn(&mut self, harness: &mut Harness, packets: &Packets, flows: std::ops::Range<u32>) -> Result<()> {
        harness.take_program(program(&mut self.ebpf, "learn")?.fd()?)?;
        if flows.is_empty() {
            Ok(())
        } else {
            harness.run(packets, flows.start, flows.len().try_into()?).map(drop)
        }
    }

    /// What was counted, which comes last: all else of the packet was done. What servers counted is taken for dr's.
    fn counts(&self, servers: &[u32]) -> Result<Counts> {
        let reasons = self.counters::<[u64; 2]>("REASON_COUNTERS")?;
        let packets = |reason: Reason| {
            let values = reasons.get(&u32::from(reason as u8), 0)?;
            Ok((reason.word(), values.iter().map(|[packets, _]| packets).sum()))
        };
        let mut counts: Counts = Reason::ALL.iter().map(|reason| packets(*reason)).collect::<Result<_>>()?;
        let of_servers = self.counters::<[u64; 5]>("SERVER_COUNTERS")?;
        let mut sent = 0;
        for server in servers {
            sent += of_servers.get(server, 0)?.iter().map(|[_, packets, ..]| packets).sum::<u64>();
        }
        counts.insert(Reason::ForwardedDr.word(), sent);
        Ok(counts)
    }

    fn counters<V: Pod>(&self, name: &str) -> Result<PerCpuArray<&MapData, V>> {
        Ok(PerCpuArray::try_from(self.ebpf.map(name).with_context(|| format!("no map {name}"))?)?)
    }
}

/// The maps that are as large as the director's.
fn entries(sizes: &Capacities) -> [(&'static str, u32); 8] {
    [
        ("SERVICES", sizes.services),
        ("VIEWS", sizes.views),
        ("SERVERS", sizes.servers),
        ("SERVER_COUNTERS", sizes.servers),
        ("SLOTS", sizes.slots),
        ("HALF_OPEN", sizes.half_open),
        ("CONNECTIONS", sizes.connections),
        ("NAT_HOSTS", sizes.nat_hosts),
    ]
}
