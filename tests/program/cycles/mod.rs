//! Servers that come and go by the thousand, through the agent's own reconcile, quarantine and sweep: no flow of an old
//! server is sent to the one that got its id, and a packet meets no service half-changed.

mod model;
mod reader;

use lb_common::connection::Connection;
use lb_common::flow::FlowKey;
use lb_common::server::MAX_DEVICES;
use lb_ctl::agent::ids::Quarantine;
use lb_ctl::agent::reconcile::{Moment, Pace, reconcile};
use lb_ctl::agent::tables::Tables;
use lb_ctl::datapath::tables::Write;
use lb_ctl::datapath::{Datapath, grace, now_ms};
use lb_tests::full;
use lb_tests::packet::ACK;
use lb_tests::random::Random;
use model::{History, Site};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

/// Tables as small as they may be: reading them back is most of the time.
const ENTRIES: [(&str, u32); 12] = [
    ("SERVICES", 8),
    ("SERVICE_COUNTERS", 8),
    ("SEQUENCE", 8),
    ("VIEWS", 512),
    ("SLOTS", 8_192),
    ("SERVERS", 512),
    ("SERVER_COUNTERS", 512),
    ("SERVICE_KEYS", 64),
    ("INTERFACES", 4),
    ("CONNECTIONS", 8_192),
    ("HALF_OPEN", 2_048),
    ("NAT_HOSTS", 512),
];
/// Changes between two grace periods.
const CHANGES_PER_GRACE: u32 = 32;
/// Flows of the past that are tried after each change.
const TRIED: u32 = 8;
/// Most flows that are remembered by the test.
const FLOWS: usize = 400;

/// As the agent's writer, without its loop.
struct Agent {
    datapath: Datapath,
    quarantine: Quarantine,
    /// Server ids that were given out again.
    reused: usize,
}

fn moment(quarantine: &Quarantine) -> Moment<'_> {
    Moment { quarantine, pace: Pace::Whole, now: 0 }
}

impl Agent {
    fn new() -> Self {
        const { assert!(MAX_DEVICES > 4) };
        let datapath = Datapath::open_unpinned_with(&ENTRIES).unwrap();
        Self { datapath, quarantine: Quarantine::default(), reused: 0 }
    }

    /// Applies a change; where no id is free, it waits for the flows of the past, as an operator would.
    fn change(&mut self, wanted: &Tables) {
        let mut kernel = self.datapath.snapshot().unwrap();
        let mut plan = reconcile(wanted, &kernel, moment(&self.quarantine));
        if plan.is_err() {
            self.sweep(true);
            kernel = self.datapath.snapshot().unwrap();
            plan = reconcile(wanted, &kernel, moment(&self.quarantine));
        }
        let plan = plan.unwrap();
        let again = |write: &&Write| matches!(write, Write::Server(id, _) if kernel.servers.contains_key(id));
        self.reused += plan.writes.iter().filter(again).count();
        self.datapath.apply(&plan.writes).unwrap();
        self.quarantine.add(plan.freed);
    }

    /// Ends a quarantine; `later` forgets the flows of servers that are gone, as time would.
    fn sweep(&mut self, later: bool) {
        let waited = self.quarantine.servers.clone();
        grace().unwrap();
        self.quarantine.grace_passed();
        let now = now_ms().unwrap().wrapping_add(if later { 20_000 } else { 0 });
        let report = self.datapath.sweep(now).unwrap();
        self.quarantine.swept(&waited, |id| report.named.contains_key(&id));
    }
}

/// A flow that the program was seen to send to a server.
struct Flow {
    service: usize,
    client: u32,
    server: u32,
}

/// The site, its agent, and what the test remembers of its flows: the plain twin of the connection table.
struct Life {
    site: Site,
    agent: Agent,
    flows: Vec<Flow>,
    random: Random,
    clients: u32,
    /// Clients of UDP flows that may have been forgotten after their first packet.
    unsure: Vec<u32>,
    /// How many of them had not.
    found: usize,
}

impl Life {
    fn new() -> Self {
        let mut life = Self {
            site: Site::new(),
            agent: Agent::new(),
            flows: Vec::new(),
            random: Random::new(),
            clients: 0,
            unsure: Vec::new(),
            found: 0,
        };
        life.agent.change(&life.site.tables());
        life
    }

    /// Replaces servers of one service; gives how many.
    fn step(&mut self, number: u32, history: &History) -> u32 {
        let service = Site::pick(&mut self.random);
        let changed = self.site.change(service, number, (&mut self.random, history));
        history.begin(number);
        self.agent.change(&self.site.tables());
        history.end(number);
        self.open(service);
        self.try_old_flows();
        self.forget_the_pushed_out();
        if number.is_multiple_of(CHANGES_PER_GRACE) {
            self.agent.sweep(self.random.once_in(2));
        }
        changed
    }

    /// A new flow, which goes to a present server and stays there.
    fn open(&mut self, service: usize) {
        self.clients += 1;
        let client = self.clients;
        let server = self.send(service, client, false).expect("a new flow gets a server");
        assert!(
            self.site.has(service, server),
            "{service} sent a new flow to {server}, which is not its own"
        );
        if self.send(service, client, true) == Some(server) {
            self.unsure.extend(Site::is_udp(service).then_some(client));
            let flow = Flow { service, client, server };
            if self.flows.len() < FLOWS {
                self.flows.push(flow);
            } else {
                let place = self.random.within(0..u32::try_from(FLOWS).unwrap()) as usize;
                self.flows[place] = flow;
            }
        }
    }

    fn try_old_flows(&mut self) {
        for _ in 0..TRIED.min(u32::try_from(self.flows.len()).unwrap()) {
            let place = self.random.within(0..u32::try_from(self.flows.len()).unwrap()) as usize;
            let Flow { service, client, server } = self.flows[place];
            let sent = self.send(service, client, true);
            if self.site.has(service, server) {
                assert_eq!(sent, Some(server), "flow {client} of service {service} left its server");
            } else if Site::is_udp(service) {
                let next = sent.expect("a datagram of a service gets a server");
                assert!(self.site.has(service, next), "flow {client} of {server} went to {next}");
                self.flows[place].server = next;
                self.unsure.push(client);
                if self.send(service, client, true) != Some(next) {
                    self.flows.swap_remove(place);
                }
            } else {
                assert_eq!(sent, None, "flow {client} of {server}, which is gone, was sent on");
                self.flows.swap_remove(place);
            }
        }
    }

    /// The flood of the readers may push a first datagram out of the table before the second one, which then opens a flow
    /// again and may meet the same server: only the table tells that it is a known flow.
    fn forget_the_pushed_out(&mut self) {
        let unsure = std::mem::take(&mut self.unsure);
        let unsure = unsure.into_iter().map(|client| (Site::client(client), client));
        let mut missing: BTreeMap<SocketAddr, u32> = unsure.collect();
        let asked = missing.len();
        let mut find = |key: &FlowKey, _: &Connection| {
            if !key.owner.is_reply() {
                missing.remove(&SocketAddr::new(key.client.into(), key.client_port.get()));
            }
        };
        self.agent.datapath.for_each_connection(&mut find).unwrap();
        let missing: BTreeSet<u32> = missing.into_values().collect();
        self.found += asked - missing.len();
        self.flows.retain(|flow| !missing.contains(&flow.client));
    }

    /// The server that a packet of the client is sent to; `established` is one that opens no connection.
    fn send(&mut self, service: usize, client: u32, established: bool) -> Option<u32> {
        let mut packet = Site::packet(service, client);
        if established {
            packet = packet.flags(ACK);
        }
        let (action, frame) = self.agent.datapath.test_run(&packet.build(), None).unwrap();
        model::server_of(action, &frame)
    }
}

/// Lives until `cycles` servers were replaced, with readers beside it.
fn live(cycles: u32) {
    let mut life = Life::new();
    println!("{}", life.random.how_to_repeat());
    let history = History::new(cycles);
    let over = AtomicBool::new(false);
    let runners = [1, 2].map(|number| (number, life.agent.datapath.runner().unwrap()));
    let (site, history) = (Site::new(), &history);
    let mut done = 0;
    let looked = thread::scope(|scope| {
        let (site, over) = (&site, &over);
        let look =
            |(number, runner)| scope.spawn(move || reader::look(number, &runner, (site, history, over)));
        let readers = runners.map(look);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for number in 1.. {
                done += life.step(number, history);
                if done >= cycles || readers.iter().any(thread::ScopedJoinHandle::is_finished) {
                    break;
                }
            }
        }));
        over.store(true, Relaxed);
        let looked = readers.map(|reader| reader.join().unwrap());
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        looked
    });
    println!("{done} cycles, {} ids given out again, packets of the readers: {looked:?}", life.agent.reused);
    assert!(life.found > done as usize / 10, "only {} UDP flows were seen to be known", life.found);
    let looked: u64 = looked.into_iter().map(|looked| looked.unwrap_or_else(|error| panic!("{error}"))).sum();
    assert!(looked > u64::from(cycles) / 10, "the readers saw {looked} packets");
    assert!(life.agent.reused > done as usize / 2, "only {} ids were used again", life.agent.reused);
}

#[test]
fn no_flow_follows_an_id_and_no_packet_meets_half_a_change() {
    live(4_000);
}

#[test]
fn no_flow_follows_an_id_in_200_000_cycles() {
    if full::is_asked_for("200,000 servers that come and go").unwrap() {
        live(200_000);
    }
}
