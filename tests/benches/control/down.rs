//! A server that goes down: from the decision until its slots have changed in the kernel.
//!
//! What was decided is not stored first, and the network is not asked: that a server is down is nothing that an operator
//! wants. So this is reconcile's part and the datapath's, in one process. No health check decides it yet.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use lb_common::address::Address;
use lb_common::flow::TCP;
use lb_common::scheduler::Scheduler;
use lb_common::server::{Method, ServerState};
use lb_common::service::{FLAG_UNTRACKED, ServiceKey, Timeouts};
use lb_ctl::agent::ids::Quarantine;
use lb_ctl::agent::reconcile::{Moment, Pace, reconcile};
use lb_ctl::agent::tables::{Device, Server, Service, Tables};
use lb_ctl::datapath::Datapath;
use lb_tests::measure::{self, Sink};

/// Its row.
pub(crate) const ROW: &str = "server-down-slots";

const ROUNDS: usize = 15;
const SERVERS: u8 = 100;
const PORT: u16 = 80;
const VIP: Address = Address::from_v4([192, 0, 2, 10]);
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// One of 100 servers of an `mh` service goes, in tables of the usual sizes.
pub(crate) fn rows(rows: Sink<'_>) -> Result<()> {
    let mut datapath = Datapath::open_unpinned_with(&[])?;
    follow(&mut datapath, ServerState::Up)?;
    let (&id, _) = datapath.snapshot()?.servers.first_key_value().context("there is no server")?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        follow(&mut datapath, ServerState::Down)?;
        rounds.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(!is_named(&datapath, id)?, "a slot still names the server");
        follow(&mut datapath, ServerState::Up)?;
    }
    rows(measure::row(ROW, "ms", rounds)?)
}

/// Whether new flows find the server by their slots.
fn is_named(datapath: &Datapath, id: u32) -> Result<bool> {
    Ok(datapath.snapshot()?.slots.values().flatten().any(|slot| slot.current().id() == id))
}

/// Makes the kernel's tables those of a first server in `state`. Slots that it gets back do so at once.
fn follow(datapath: &mut Datapath, state: ServerState) -> Result<()> {
    let pace = if state == ServerState::Up { Pace::Whole } else { Pace::Step };
    let moment = Moment { quarantine: &Quarantine::default(), pace, now: 0 };
    let plan = reconcile(&tables(state), &datapath.snapshot()?, moment);
    let plan = plan.context("the tables are too small")?;
    Ok(datapath.apply(&plan.writes)?)
}

fn tables(first: ServerState) -> Tables {
    let server = |number: u8| Server {
        pool: "web".to_owned(),
        name: number.to_string(),
        address: Address::from_v4([10, 0, 0, number]),
        port: 0,
        method: Method::Dr,
        weight: 1,
        state: if number == 0 { first } else { ServerState::Up },
        leaving: false,
        next_hop: Some((1, MAC)),
        mtu: 1_500,
        source: Address::UNSPECIFIED,
        source_bits: 0,
    };
    let service = Service {
        name: "web".to_owned(),
        keys: [ServiceKey::new(VIP, PORT.into(), TCP)].into(),
        address: VIP,
        port: PORT,
        protocol: TCP,
        scheduler: Scheduler::Mh,
        flags: FLAG_UNTRACKED,
        timeouts: Timeouts::default(),
        servers: (0..SERVERS).map(server).collect(),
    };
    let devices = BTreeMap::from([(1, Device { mac: MAC, mtu: 1_500 })]);
    Tables { flags: 0, sample_period: 0, answers_per_second: 0, devices, services: vec![service] }
}
