//! The loop of the one writer: events in, changes of the kernel out.

use super::Asked;
use super::conflicts::Conflicts;
use super::drift::Drift;
use super::finish::Api;
use super::ids::Quarantine;
use super::imported::Imported;
use super::journal::Journal;
use super::last_hops::LastHops;
use super::names::Names;
use super::observe::{fixed_neighbours, kept_neighbours, observe, server_addresses};
use super::samples::Sampling;
use super::sights::Known;
use super::state::Observed;
use super::supervisor;
use super::sweep::Sweeper;
use super::time;
use crate::api::Failure;
use crate::datapath::{self, Datapath};
use crate::neighbour::{Changes, Network};
use crate::store::{Store, Stored};
use anyhow::Context;
use lb_common::server::{ServerRef, ServerState};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// Time between two looks at what has no event of its own.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two looks at the network, should a notice of a change have been lost.
const TICKS_PER_LOOK: u32 = 5;
/// Changes of the network that come within this time are looked at together.
const GATHER: Duration = Duration::from_millis(20);
/// How long a change waits for the MAC addresses of new servers.
const RESOLVE: Duration = Duration::from_millis(500);

/// What the writer is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) datapath: Datapath,
    pub(super) store: Store,
    pub(super) stored: Stored,
    pub(super) network: Network,
    pub(super) changes: Changes,
    /// The file that an empty store is filled from.
    pub(super) file: Option<PathBuf>,
    pub(super) journal: Journal,
}

/// The one writer.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) datapath: Datapath,
    pub(super) store: Store,
    pub(super) stored: Stored,
    pub(super) network: Network,
    pub(super) changes: Changes,
    pub(super) file: Imported,
    pub(super) since: u64,
    pub(super) observed: Observed,
    pub(super) kept: BTreeSet<(u32, IpAddr)>,
    pub(super) quarantine: Quarantine,
    pub(super) names: Names,
    pub(super) sweeper: Sweeper,
    /// Slots of untracked services may have to change with time.
    pub(super) unsettled: bool,
    /// Slots that are to follow a change wait for those before them.
    pub(super) held: bool,
    /// Servers that open connections may have which no table knows.
    pub(super) owners: BTreeSet<ServerRef>,
    /// Servers that leave and had no connection at the last sweep.
    pub(super) empty: BTreeSet<ServerRef>,
    pub(super) sampling: Sampling,
    pub(super) unsent: super::unsent::Watch,
    /// Why an interface of the configuration has no program.
    pub(super) unattached: BTreeMap<String, Failure>,
    /// Why a VIP is not on its interface.
    pub(super) unplaced: Option<Failure>,
    /// Who else has one.
    pub(super) conflicts: Conflicts,
    /// Why the kernel's tables are not what they should be.
    pub(super) problem: Option<Failure>,
    /// The tables have not the sizes of the configuration.
    pub(super) wrong_sizes: bool,
    pub(super) ticks: u32,
    pub(super) journal: Journal,
    /// What the journal was told last.
    pub(super) known: Known,
    pub(super) drift: Drift,
    /// Tables that were told to be nearly full.
    pub(super) nearly_full: BTreeSet<&'static str>,
    pub(super) last_hops: LastHops,
}

impl Writer {
    /// Takes over what the kernel holds, and makes it equal to what is stored.
    pub(super) async fn start(parts: Parts) -> anyhow::Result<Self> {
        let Parts { datapath, store, stored, network, changes, file, journal } = parts;
        // What the last agent took out of use may still be in the hands of a packet, or of a connection.
        datapath::grace()?;
        let kernel = datapath.snapshot()?;
        let gone = |state| ServerState::from_byte(state) == ServerState::Gone;
        let servers =
            kernel.servers.iter().filter(|(_, server)| gone(server.state)).map(|(id, _)| *id).collect();
        let mut writer = Self {
            sampling: Sampling::new(datapath.events()?),
            datapath,
            store,
            stored,
            network,
            changes,
            file: Imported::at(file),
            since: time::now(),
            observed: Observed::default(),
            kept: BTreeSet::new(),
            quarantine: Quarantine { servers, ..Quarantine::default() },
            names: Names::default(),
            sweeper: Sweeper::default(),
            unsent: super::unsent::Watch::default(),
            unsettled: true,
            held: false,
            owners: BTreeSet::new(),
            empty: BTreeSet::new(),
            unattached: BTreeMap::new(),
            unplaced: None,
            conflicts: Conflicts::start(journal.clone()),
            problem: None,
            wrong_sizes: false,
            ticks: 0,
            journal,
            known: Known::default(),
            drift: Drift::default(),
            nearly_full: BTreeSet::new(),
            last_hops: LastHops::of(&kernel, std::time::Instant::now()),
        };
        writer.known.adopt(&writer.stored.placed);
        writer.beat();
        writer.resize_to_stored();
        let addresses = server_addresses(&writer.desired());
        writer.observed = writer.look(&addresses).await.context("cannot look at the network")?;
        writer.count_unsent();
        writer.converge();
        writer.undo_attaching();
        writer.attach_missing();
        writer.place_vips(true).await;
        Ok(writer)
    }

    /// Handles events until a signal ends the agent, or its API ends.
    pub(super) async fn run(&mut self, mut queue: mpsc::Receiver<Asked>, mut api: Api) -> anyhow::Result<()> {
        let mut terminated = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
        let mut interrupted = signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.tell_start();
        loop {
            let samples_due = self.sampling.due();
            tokio::select! {
                Some((request, answer)) = queue.recv() => self.handle(request, answer).await,
                Ok(()) = self.changes.changed() => self.network_changed().await,
                _ = tick.tick() => self.tick().await,
                () = super::tracking::step_due(), if self.held => self.sweep(),
                () = samples_due => self.sampling.deliver(&self.names),
                ended = &mut api.task => return ended.context("the API ended")?,
                _ = terminated.recv() => break,
                _ = interrupted.recv() => break,
            }
        }
        self.tell_end().await;
        self.finish(queue, api).await;
        Ok(())
    }

    async fn tick(&mut self) {
        self.ticks = self.ticks.wrapping_add(1);
        supervisor::tell_alive();
        self.beat();
        self.file.look().await;
        self.age_slots(None);
        self.sweep();
        self.watch_unsent();
        if let Err(failure) = self.settle_tables() {
            self.note_problem(Some(failure));
        } else if self.wrong_sizes && self.ticks.is_multiple_of(TICKS_PER_LOOK) {
            self.resize_to_stored();
        }
        if self.sampling.stop_if_unused() {
            self.converge();
        }
        let is_over = self.last_hops.end(std::time::Instant::now());
        if is_over || self.ticks.is_multiple_of(TICKS_PER_LOOK) || self.problem.is_some() {
            let followed = self.follow_network().await;
            self.attach_again(followed);
        }
        self.look_for_drift().await;
    }

    async fn network_changed(&mut self) {
        sleep(GATHER).await;
        self.changes.mark_unchanged();
        self.follow_network().await;
    }

    /// Looks at the network and follows what changed; tells whether there was something to follow.
    pub(super) async fn follow_network(&mut self) -> bool {
        let addresses = server_addresses(&self.desired());
        let generic = self.has_generic();
        let last = &mut self.last_hops;
        let observed = match observe(&self.network, &addresses, &self.kept, generic, last).await {
            Ok(observed) => self.with_programs(observed),
            Err(error) => {
                tracing::warn!(%error, "could not look at the network");
                return false;
            }
        };
        if observed == self.observed && self.problem.is_none() && self.unplaced.is_none() {
            return false;
        }
        let came_up = |(index, link): (&u32, &crate::neighbour::Link)| {
            link.running
                && self
                    .observed
                    .links
                    .get(index)
                    .is_none_or(|before| !before.running || before.mac != link.mac)
        };
        let links_up = observed.links.iter().any(came_up);
        self.observe_as(observed).await;
        self.converge();
        self.attach_missing();
        self.place_vips(links_up).await;
        true
    }

    /// Makes `observed` what is known, and lets go of neighbours that no server needs any more.
    pub(super) async fn observe_as(&mut self, observed: Observed) {
        let kept = kept_neighbours(&observed);
        let fixed = fixed_neighbours(&observed);
        self.release(self.kept.difference(&kept).filter(|neighbour| !fixed.contains(*neighbour))).await;
        self.kept = kept;
        self.observed = observed;
    }

    /// Leaves neighbours to the kernel's usual ageing.
    pub(super) async fn release(&self, neighbours: impl Iterator<Item = &(u32, IpAddr)>) {
        for (ifindex, address) in neighbours {
            // The interface may be gone, and the neighbour with it.
            self.network.release(*ifindex, *address).await.ok();
        }
    }

    /// Looks at the network with the ways to `addresses`; waits a little for MAC addresses that were not known before.
    pub(super) async fn look(&mut self, addresses: &BTreeSet<IpAddr>) -> Result<Observed, Failure> {
        let failed = |error: crate::neighbour::NetworkError| Failure::failed(error.to_string());
        let deadline = Instant::now() + RESOLVE;
        loop {
            self.changes.mark_unchanged();
            let generic = self.has_generic();
            let observed = observe(&self.network, addresses, &self.kept, generic, &mut self.last_hops).await;
            let observed = self.with_programs(observed.map_err(failed)?);
            let left = deadline.saturating_duration_since(Instant::now());
            let news = |address: &&IpAddr| !self.observed.ways.contains_key(address);
            let missing = |address: &IpAddr| observed.way(*address).is_some_and(|way| way.mac.is_none());
            if left.is_zero() || !addresses.iter().filter(news).any(missing) {
                return Ok(observed);
            }
            timeout(left, self.changes.changed()).await.ok();
        }
    }
}
