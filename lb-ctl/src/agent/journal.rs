//! The journal: everything noteworthy goes through here, to the log, to memory and to whoever follows.
//!
//! The writer is never kept waiting. Readers take from what is remembered; who is too slow is told how many it missed.

use crate::api::{Event, EventKind, EventRequest, Level, Origin};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::timeout;

/// Events that are remembered.
const KEPT: usize = 1_000;
/// Lines that are remembered of one event.
const LINES: usize = 20;
/// Events that a reader is given at once.
const BATCH: usize = 100;
/// How long the end waits for readers to take what is left.
const FAREWELL: Duration = Duration::from_secs(1);

/// What happened. The journal adds number and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    level: Level,
    kind: EventKind,
    subject: String,
    text: String,
    lines: Vec<String>,
    hint: Option<String>,
    origin: Origin,
}

impl News {
    /// Something of `level` about `subject`, which may be empty.
    pub(super) fn new(level: Level, kind: EventKind, subject: &str, text: impl Into<String>) -> Self {
        let (subject, text) = (subject.to_owned(), text.into());
        Self { level, kind, subject, text, lines: Vec::new(), hint: None, origin: Origin::default() }
    }

    /// The same, with what differs.
    pub(super) fn with_lines(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        let mut lines = lines.into_iter();
        self.lines = lines.by_ref().take(LINES).collect();
        match lines.count() {
            0 => {}
            more => self.lines.push(format!("and {more} more")),
        }
        self
    }

    /// The same, with what can be done about it.
    pub(super) fn with_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// The same, asked for by somebody.
    pub(super) fn by(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }
}

/// The journal. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ring: Mutex<Ring>,
    /// Tells readers that there is something new; a reader holds a receiver for as long as it reads.
    news: watch::Sender<()>,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Event>,
    first: u64,
    next: u64,
    closed: bool,
}

impl Journal {
    /// An empty journal. Its numbers begin at the time, so that no number of an earlier agent comes again.
    pub(crate) fn new() -> Self {
        let first = now_ms().max(1);
        let ring = Ring { events: VecDeque::new(), first, next: first, closed: false };
        Self { shared: Arc::new(Shared { ring: Mutex::new(ring), news: watch::Sender::new(()) }) }
    }

    /// Remembers, logs and tells what happened.
    pub(super) fn record(&self, news: News) {
        let News { level, kind, subject, text, lines, hint, origin } = news;
        let mut ring = self.ring();
        let event =
            Event { sequence: ring.next, time_ms: now_ms(), level, kind, subject, text, lines, hint, origin };
        ring.next = ring.next.saturating_add(1);
        log(&event);
        if ring.events.len() >= KEPT {
            ring.events.pop_front();
        }
        ring.events.push_back(event);
        drop(ring);
        self.shared.news.send_replace(());
    }

    /// A reader of what is remembered, and of what comes if that is asked for.
    pub(crate) fn read(&self, request: EventRequest) -> Reader {
        Reader { journal: self.clone(), request, news: self.shared.news.subscribe() }
    }

    /// Ends the journal: readers take what is left and end. Waits for them, but not for long.
    pub(super) async fn close(&self) {
        self.ring().closed = true;
        self.shared.news.send_replace(());
        timeout(FAREWELL, self.shared.news.closed()).await.ok();
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.shared.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    /// The next events after the one with the number `since`; first how many are not remembered any more.
    fn after(&self, since: u64) -> Vec<Event> {
        let later = self.events.iter().skip_while(|event| event.sequence <= since);
        let oldest = self.events.front().map_or(self.next, |event| event.sequence);
        let missed = oldest.saturating_sub(since.saturating_add(1).max(self.first));
        let told = (since > 0 && missed > 0).then(|| Event {
            sequence: oldest.saturating_sub(1),
            time_ms: now_ms(),
            level: Level::Warn,
            kind: EventKind::Missed,
            subject: String::new(),
            text: format!("{missed} events are not remembered any more; the agent's log has them"),
            lines: Vec::new(),
            hint: None,
            origin: Origin::default(),
        });
        told.into_iter().chain(later.take(BATCH).cloned()).collect()
    }
}

/// Reads the journal at its own pace.
#[derive(Debug)]
pub(crate) struct Reader {
    journal: Journal,
    request: EventRequest,
    news: watch::Receiver<()>,
}

impl Reader {
    /// The next events, when there are any; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            self.news.mark_unchanged();
            let (events, closed) = {
                let ring = self.journal.ring();
                (ring.after(self.request.since), ring.closed)
            };
            if let Some(last) = events.last() {
                self.request.since = last.sequence;
                return Some(events);
            }
            if closed || !self.request.follow {
                return None;
            }
            self.news.changed().await.ok()?;
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// One line of the log, at the level of the event, with what it consists of as fields.
fn log(event: &Event) {
    let Event { kind, subject, text, hint, origin, .. } = event;
    let lines = (!event.lines.is_empty()).then(|| event.lines.join("; "));
    macro_rules! at {
        ($level:ident) => {
            tracing::$level!(
                target: "lb_ctl::events",
                kind = kind.word(),
                subject = (!subject.is_empty()).then_some(subject.as_str()),
                differences = lines,
                hint = hint.as_deref(),
                uid = origin.uid,
                user = origin.user.as_deref(),
                command = origin.command.as_deref(),
                revision = origin.revision,
                "{text}"
            )
        };
    }
    match event.level {
        Level::Error => at!(error),
        Level::Warn => at!(warn),
        Level::Info => at!(info),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(text: &str) -> News {
        News::new(Level::Info, EventKind::Change, "configuration", text)
    }

    fn filled(count: usize) -> (Journal, u64) {
        let journal = Journal::new();
        (0..count).for_each(|number| journal.record(news(&number.to_string())));
        let first = journal.ring().first;
        (journal, first)
    }

    async fn all(mut reader: Reader) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(events) = reader.next().await {
            texts.extend(events.into_iter().map(|event| event.text));
        }
        texts
    }

    #[tokio::test]
    async fn a_reader_gets_what_is_remembered_after_the_number_that_it_knows() {
        let (journal, first) = filled(KEPT + 10);
        let read = |since| all(journal.read(EventRequest { since, follow: false }));
        let everything = read(0).await;
        assert_eq!((everything.len(), everything[0].as_str()), (KEPT, "10"));
        assert_eq!(read(first + 1_006).await, ["1007", "1008", "1009"]);
        assert_eq!(read(first + 1_009).await, [""; 0]);
        let told = "7 events are not remembered any more; the agent's log has them";
        let late = read(first + 2).await;
        assert_eq!((late.len(), late[0].as_str(), late[1].as_str()), (KEPT + 1, told, "10"));
        let of_an_earlier_agent = read(first - 500).await;
        assert!(of_an_earlier_agent[0].starts_with("10 events"), "{:?}", of_an_earlier_agent[0]);
        assert_eq!(read(u64::MAX).await, [""; 0]);
    }

    #[tokio::test]
    async fn a_reader_that_falls_behind_is_told_how_many_it_missed_and_delays_nobody() {
        let (journal, first) = filled(1);
        let mut reader = journal.read(EventRequest { since: 0, follow: true });
        assert_eq!(reader.next().await.unwrap()[0].sequence, first);
        (0..2 * KEPT).for_each(|number| journal.record(news(&number.to_string())));
        let events = reader.next().await.unwrap();
        assert_eq!((events[0].kind, events[0].sequence), (EventKind::Missed, first + 1_000));
        assert!(events[0].text.starts_with("1000 events"), "{}", events[0].text);
        assert_eq!((events[1].sequence, events.len()), (first + 1_001, BATCH + 1));
    }

    #[tokio::test]
    async fn a_follower_gets_the_last_word_and_ends() {
        let (journal, _) = filled(1);
        let follower = tokio::spawn(all(journal.read(EventRequest { since: 0, follow: true })));
        tokio::task::yield_now().await;
        journal.record(news("the agent stops"));
        journal.close().await;
        assert_eq!(follower.await.unwrap(), ["0", "the agent stops"]);
        assert_eq!(journal.shared.news.receiver_count(), 0);
    }

    #[test]
    fn of_many_lines_the_first_are_remembered() {
        let lines = |count: usize| news("").with_lines((0..count).map(|number| number.to_string())).lines;
        assert_eq!(lines(LINES).len(), LINES);
        assert_eq!(lines(LINES + 5).last().unwrap(), "and 5 more");
    }
}
