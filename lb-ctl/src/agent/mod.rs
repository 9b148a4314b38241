//! The agent: the one writer that keeps the kernel's tables equal to what the operator asked for.
//!
//! Everything that can change anything becomes an event for the writer. What should be in the kernel is compiled from the
//! configuration and the network as it looks ([`compile`]), compared with what the kernel holds, and written in an order
//! that no packet can suffer from ([`reconcile`]). Those two are pure.

mod arena;
mod attaching;
mod carry_out;
mod change;
pub mod compile;
mod conflicts;
mod connections;
mod converge;
mod cuts;
mod differences;
mod drift;
mod exits;
mod finish;
mod fullness;
mod history;
mod identity;
pub mod ids;
mod imported;
mod initial;
mod interfaces;
mod journal;
mod last_hops;
mod leave;
pub mod limits;
mod links;
mod listing;
mod names;
mod news;
mod notes;
mod observe;
mod own_address;
pub(crate) mod ownership;
pub mod plan;
mod preflight;
pub(crate) mod privileges;
pub mod reconcile;
mod requests;
mod resize;
mod samples;
mod sights;
pub mod state;
mod status;
mod supervisor;
mod sweep;
pub mod tables;
mod time;
mod tracking;
mod traffic;
mod unsent;
mod vips;
mod writer;

use crate::api::server::serve_on;
use crate::api::socket::Bound;
use crate::api::{EventRequest, Failure, Reply, Request};
use crate::datapath::{Datapath, DebugLog, OpenOptions, Recovery};
use crate::neighbour::Network;
use crate::pid_file::{self, AGENT};
use crate::store::Store;
use anyhow::Context;
use initial::Initial;
use journal::{Journal, Reader};
use std::path::PathBuf;
use tokio::sync::{mpsc, oneshot};
use writer::{Parts, Writer};

/// Requests that may wait for the writer.
const QUEUE: usize = 64;
/// Time between two looks at what the programs log.
const LOG_INTERVAL: std::time::Duration = std::time::Duration::from_millis(100);

/// How an agent is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory on the BPF file system for pins.
    pub bpffs: PathBuf,
    /// Directory of the store.
    pub state_dir: PathBuf,
    /// The socket of the API.
    pub socket: PathBuf,
    /// The group that may use the socket.
    pub socket_group: Option<String>,
    /// A configuration for an empty store.
    pub config: Option<PathBuf>,
    /// Whether the programs log packets.
    pub debug_log: bool,
    /// Whether `attach` started it, as a stand-in for one that is started for good.
    pub detached: bool,
}

/// A request and where its answer goes.
type Asked = (Request, oneshot::Sender<Result<Reply, Failure>>);

/// The way to the agent's one writer.
#[derive(Clone, Debug)]
pub struct AgentHandle {
    requests: mpsc::Sender<Asked>,
    journal: Journal,
}

impl AgentHandle {
    /// Asks, and waits for the answer.
    ///
    /// # Errors
    ///
    /// What the agent answers, or that it is stopping.
    pub async fn request(&self, request: Request) -> Result<Reply, Failure> {
        let (sender, answer) = oneshot::channel();
        self.requests.send((request, sender)).await.map_err(|_| finish::stopping())?;
        answer.await.map_err(|_| finish::stopping())?
    }

    /// A reader of what happened, which the writer need not be asked for.
    pub(crate) fn events(&self, request: EventRequest) -> Reader {
        self.journal.read(request)
    }
}

#[cfg(test)]
impl AgentHandle {
    /// A handle whose requests `answer` answers, for tests of what is in front of the agent.
    pub(crate) fn answered_by(answer: impl Fn(Request) -> Result<Reply, Failure> + Send + 'static) -> Self {
        let (requests, mut queue) = mpsc::channel::<Asked>(QUEUE);
        tokio::spawn(async move {
            while let Some((request, sender)) = queue.recv().await {
                sender.send(answer(request)).expect("somebody waits for the answer");
            }
        });
        Self { requests, journal: Journal::new() }
    }

    /// Puts a change with this text into the journal.
    pub(crate) fn tell(&self, text: &str) {
        self.journal.record(journal::News::new(
            crate::api::Level::Info,
            crate::api::EventKind::Change,
            "",
            text,
        ));
    }

    /// Ends the journal.
    pub(crate) async fn end(&self) {
        self.journal.close().await;
    }
}

/// Runs an agent until it is told to stop by SIGTERM or SIGINT. Forwarding goes on after that.
///
/// # Errors
///
/// It cannot start: another one runs, the programs cannot be loaded, the store or the socket cannot be used.
pub fn run(options: Options) -> anyhow::Result<()> {
    let own = Own::take(&options)?;
    privileges::give_up_others(privileges::AGENT)?;
    // The writer has the main thread, on which the kernel may keep it waiting; the API and netlink have another one.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(supervise(own, options))
}

/// What no other agent has while this one runs.
struct Own {
    store: Store,
    socket: Bound,
    _lock: pid_file::Lock,
}

impl Own {
    /// Takes it, which may need more privileges than to use it.
    fn take(options: &Options) -> anyhow::Result<Self> {
        ownership::check(options)?;
        let store = Store::open(&options.state_dir)?;
        let lock = pid_file::take(&AGENT, &options.state_dir, options.detached)?;
        let socket = Bound::new(&options.socket, options.socket_group.as_deref())?;
        Ok(Self { store, socket, _lock: lock })
    }
}

async fn supervise(own: Own, options: Options) -> anyhow::Result<()> {
    let Own { store, socket, _lock } = own;
    let initial = Initial::of(&store, options.config.as_deref())?;
    let bpffs = options.bpffs.clone();
    let open = OpenOptions { bpffs: options.bpffs, debug_log: options.debug_log };
    let mut datapath = Datapath::open_sized(&open, &initial.limits().capacities())?;
    if datapath.recovery() != Recovery::Nothing {
        tracing::warn!(outcome = ?datapath.recovery(), "an earlier agent died while it exchanged maps");
    }
    let stored = initial.stored(&store, &datapath.snapshot()?, &bpffs)?;
    if let Some(log) = datapath.take_log() {
        tokio::spawn(follow_log(log));
    }
    let (network, changes) = Network::open()?;
    let journal = Journal::new();
    let parts =
        Parts { datapath, store, stored, network, changes, file: options.config, journal: journal.clone() };
    let mut writer = Writer::start(parts).await?;
    let (requests, queue) = mpsc::channel(QUEUE);
    let (end, ended) = oneshot::channel();
    let handle = AgentHandle { requests, journal };
    let task = tokio::spawn(serve_on(socket, handle, async { ended.await.unwrap_or(()) }));
    supervisor::tell_ready();
    writer.run(queue, finish::Api { task, end }).await
}

/// Hands what the programs log about packets to the agent's log.
async fn follow_log(mut log: DebugLog) {
    let mut ticks = tokio::time::interval(LOG_INTERVAL);
    loop {
        ticks.tick().await;
        log.flush();
    }
}
