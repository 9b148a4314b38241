//! The flows and the oracle: on which server each was seen first, and whether it was ever seen on another one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use anyhow::{Result, bail};

/// Servers that there can be.
pub(super) const SERVERS: usize = 16;

/// Where a frame came back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// It was forwarded to the server with this index.
    To(usize),
    /// The client was answered with a reset.
    Reset,
}

/// What was last seen of a flow.
#[derive(Clone, Copy, Debug)]
struct Seen {
    incarnation: u16,
    server: usize,
    when: Instant,
}

/// When a server could keep no connections: from before the change until after the one that ended it.
#[derive(Debug, Default)]
pub(super) struct Dead(Mutex<[Vec<Interval>; SERVERS]>);

/// From when, and until when if it is over.
type Interval = (Instant, Option<Instant>);

impl Dead {
    /// The server dies now.
    pub(super) fn begins(&self, server: usize) {
        if let Ok(mut all) = self.0.lock() {
            all[server].push((Instant::now(), None));
        }
    }

    /// The server lives again, if it was dead.
    pub(super) fn ends(&self, server: usize) {
        if let Ok(mut all) = self.0.lock()
            && let Some((_, end @ None)) = all[server].last_mut()
        {
            *end = Some(Instant::now());
        }
    }

    /// Whether it could keep no connections at some moment since.
    fn since(&self, server: usize, since: Instant) -> bool {
        self.0.lock().is_ok_and(|all| all[server].iter().any(|(_, end)| end.is_none_or(|end| end >= since)))
    }
}

/// All flows. A connection that ends is followed by another one of the same client: its incarnation, which is its port.
#[derive(Debug)]
pub(super) struct Flows {
    incarnations: Vec<AtomicU16>,
    seen: Mutex<Vec<Option<Seen>>>,
    wrong: Mutex<Vec<String>>,
    packets: AtomicU64,
    connections: AtomicU64,
    resets: AtomicU64,
    pub(super) dead: Dead,
}

impl Flows {
    pub(super) fn new(count: u32) -> Self {
        Self {
            incarnations: (0..count).map(|_| AtomicU16::new(0)).collect(),
            seen: Mutex::new(vec![None; count as usize]),
            wrong: Mutex::default(),
            packets: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            resets: AtomicU64::new(0),
            dead: Dead::default(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.incarnations.len()
    }

    /// The connection that the flow is at.
    pub(super) fn incarnation(&self, flow: usize) -> u16 {
        self.incarnations[flow].load(Relaxed)
    }

    /// The flow goes on with another connection.
    pub(super) fn begin_anew(&self, flow: usize) {
        self.incarnations[flow].fetch_add(1, Relaxed);
    }

    /// A frame of the flow came back.
    pub(super) fn judge(&self, flow: usize, incarnation: u16, came: Came) {
        if flow >= self.count() || incarnation != self.incarnation(flow) {
            return;
        }
        let Ok(mut all) = self.seen.lock() else { return };
        let before = all[flow].filter(|seen| seen.incarnation == incarnation);
        self.packets.fetch_add(1, Relaxed);
        let when = Instant::now();
        match (came, before) {
            (Came::To(server), None) => {
                self.connections.fetch_add(1, Relaxed);
                all[flow] = Some(Seen { incarnation, server, when });
            }
            (Came::To(server), Some(seen)) if server == seen.server => {
                all[flow] = Some(Seen { when, ..seen });
                // A server that was dead meanwhile has no connection any more, though it is at the same address.
                if self.dead.since(server, seen.when) {
                    self.begin_anew(flow);
                }
            }
            (_, before) => {
                if came == Came::Reset {
                    self.resets.fetch_add(1, Relaxed);
                }
                if let Some(seen) = before.filter(|seen| !self.dead.since(seen.server, seen.when)) {
                    self.blame(flow, seen, came);
                }
                self.begin_anew(flow);
            }
        }
    }

    fn blame(&self, flow: usize, seen: Seen, came: Came) {
        let Ok(mut wrong) = self.wrong.lock() else { return };
        let Seen { incarnation, server, when } = seen;
        let silent = when.elapsed();
        wrong.push(format!("flow {flow}.{incarnation} of server {server}, silent for {silent:?}: {came:?}"));
    }

    /// Fails if a flow left a server that may keep its connections.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = self.wrong.lock().map(|wrong| wrong.clone()).unwrap_or_default();
        if let Some(first) = wrong.first() {
            bail!("{} flows left their servers, the first: {first}", wrong.len());
        }
        Ok(())
    }

    pub(super) fn all_have_a_server(&self) -> Option<()> {
        self.seen.lock().ok()?.iter().all(Option::is_some).then_some(())
    }

    /// Every flow's client and connection, with the server that it is on.
    pub(super) fn owners(&self) -> Vec<(usize, u16, usize)> {
        let all = self.seen.lock().map(|all| all.clone()).unwrap_or_default();
        let owner =
            |(flow, seen): (usize, Option<Seen>)| seen.map(|seen| (flow, seen.incarnation, seen.server));
        all.into_iter().enumerate().filter_map(owner).collect()
    }

    pub(super) fn packets(&self) -> u64 {
        self.packets.load(Relaxed)
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    pub(super) fn resets(&self) -> u64 {
        self.resets.load(Relaxed)
    }
}
