//! Sampled decisions: who waits for them, and when sampling ends.

use super::names::Names;
use crate::api::verdict_word;
use crate::api::{Failure, Reply, Sample, SampleRequest};
use crate::datapath::Events;
use lb_common::event::Event;
use lb_common::server::ServerRef;
use lb_common::verdict;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::oneshot::Sender;
use tokio::time::{Instant, sleep_until};

/// Sampling ends when nobody has asked for this long.
const UNUSED: Duration = Duration::from_secs(5);
/// Longest time to collect.
const LONGEST: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Waiter {
    until: Instant,
    answer: Sender<Result<Reply, Failure>>,
}

/// The reader of samples and those who wait for them.
#[derive(Debug)]
pub(super) struct Sampling {
    events: Events,
    period: u32,
    used: Option<Instant>,
    waiters: Vec<Waiter>,
}

impl Sampling {
    pub(super) fn new(events: Events) -> Self {
        Self { events, period: 0, used: None, waiters: Vec::new() }
    }

    /// One decision in this many is sampled now; 0 is none.
    pub(super) const fn period(&self) -> u32 {
        self.period
    }

    /// Starts to collect for a client.
    pub(super) fn ask(&mut self, wanted: SampleRequest, answer: Sender<Result<Reply, Failure>>) {
        if self.period == 0 {
            while self.events.next_event().is_some() {}
        }
        let until = Instant::now() + Duration::from_millis(u64::from(wanted.wait_ms)).min(LONGEST);
        self.period = wanted.period.max(1);
        self.used = Some(until);
        self.waiters.push(Waiter { until, answer });
    }

    /// Waits until the first client's time is over; for ever when there is none.
    pub(super) fn due(&self) -> impl Future<Output = ()> + use<> {
        let until = self.waiters.iter().map(|waiter| waiter.until).min();
        async move {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Gives what was collected to every client whose time is over.
    pub(super) fn deliver(&mut self, names: &Names) {
        let samples: Vec<Sample> = std::iter::from_fn(|| self.events.next_event())
            .filter_map(|event| sample(&event, names))
            .collect();
        let now = Instant::now();
        for waiter in self.waiters.extract_if(.., |waiter| waiter.until <= now) {
            waiter.answer.send(Ok(Reply::Samples(samples.clone()))).ok();
        }
    }

    /// Lets everybody go who waits.
    pub(super) fn dismiss(&mut self) {
        self.waiters.clear();
    }

    /// Whether sampling has just ended because nobody asks any more.
    pub(super) fn stop_if_unused(&mut self) -> bool {
        let unused = self.waiters.is_empty() && self.used.is_some_and(|used| used.elapsed() > UNUSED);
        if unused {
            self.period = 0;
            self.used = None;
        }
        unused
    }
}

fn sample(event: &Event, names: &Names) -> Option<Sample> {
    let (reason, answered) = verdict::of_index(u32::from(event.verdict))?;
    Some(Sample {
        time_ns: event.time,
        source: SocketAddr::new(event.source.into(), event.source_port.get()),
        destination: SocketAddr::new(event.destination.into(), event.destination_port.get()),
        protocol: event.protocol,
        tcp_flags: event.tcp_flags,
        verdict: verdict_word(reason, answered).to_owned(),
        reason: reason.word().to_owned(),
        service: names.service(event.service).map(|service| service.name.clone()),
        server: names.server(ServerRef(event.server)).map(|server| server.name.clone()),
        bytes: event.bytes,
        ifindex: event.ifindex,
    })
}
