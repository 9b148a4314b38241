//! Frames that an interface did not send after they were redirected to it: whose, why, and whether it goes on.

use super::converge::failure;
use super::state::Observed;
use super::writer::Writer;
use crate::api::{ReasonCount, UnsentCount, Warning};
use crate::datapath::Unsent;
use lb_common::counters::Count;
use lb_common::verdict::Reason;
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long after the last lost frame `status` warns.
const RECENT: Duration = Duration::from_mins(1);

/// Frames by the interface that did not send them and the error number.
type Counts = BTreeMap<(u32, u32), u64>;

/// What was lost when it was last looked, and since when it grows.
#[derive(Debug, Default)]
pub(super) struct Watch {
    known: Option<Counts>,
    grew: BTreeMap<(u32, u32), Instant>,
}

impl Watch {
    /// Takes in what is counted at `now`. What was there at the first look is old.
    fn look(&mut self, counts: Counts, now: Instant) {
        let known = self.known.get_or_insert_with(|| counts.clone());
        let grown = counts.iter().filter(|(key, count)| known.get(key).is_none_or(|known| known < count));
        self.grew.extend(grown.map(|(key, _)| (*key, now)));
        self.grew.retain(|_, last| now.duration_since(*last) < RECENT);
        self.known = Some(counts);
    }

    fn warnings(&self, observed: &Observed) -> Vec<Warning> {
        let counts = self.known.iter().flatten().filter(|(key, _)| self.grew.contains_key(key));
        counts.map(|((to, error), frames)| warning(&observed.link_name(*to), *error, *frames)).collect()
    }
}

/// The frames that came in by an interface with the program, or by a member of a bond that has it.
fn ours(unsent: &[Unsent], observed: &Observed) -> Counts {
    let has_program = |index: u32| {
        let master = observed.links.get(&index).and_then(|link| link.master);
        observed.modes.contains_key(&index) || master.is_some_and(|index| observed.modes.contains_key(&index))
    };
    let mut counts = Counts::new();
    for unsent in unsent.iter().filter(|unsent| unsent.from.is_none_or(has_program)) {
        *counts.entry((unsent.to, unsent.error)).or_default() += unsent.frames;
    }
    counts
}

/// What the kernel's error means for a redirected frame.
fn reason(error: u32) -> String {
    match error.cast_signed() {
        libc::EOPNOTSUPP => "it cannot send redirected frames".to_owned(),
        libc::ENXIO => "its peer takes no frames".to_owned(),
        libc::ENETDOWN => "the interface is down".to_owned(),
        libc::EMSGSIZE => "larger than its MTU".to_owned(),
        0 | libc::ENOSPC | libc::EAGAIN | libc::EBUSY | libc::ENOBUFS => "its queue is full".to_owned(),
        other => Errno::from_raw(other).desc().to_lowercase(),
    }
}

fn warning(interface: &str, error: u32, frames: u64) -> Warning {
    let hint = match error.cast_signed() {
        libc::EOPNOTSUPP => Some(
            "attach the interface that they come in by with `--mode generic`, which sends by any interface"
                .to_owned(),
        ),
        libc::ENXIO => Some(
            "its peer takes them with GRO (`ethtool -K PEER gro on`) or an XDP program of its own".to_owned(),
        ),
        libc::ENETDOWN => Some(format!("`ip link set dev {interface} up`")),
        libc::EMSGSIZE => Some("raise its MTU, or lower that of the interface they come in by".to_owned()),
        _ => None,
    };
    let frames = if frames == 1 { "1 frame".to_owned() } else { format!("{} frames", grouped(frames)) };
    Warning { message: format!("redirecting to {interface} fails: {frames} ({})", reason(error)), hint }
}

/// `number` with a comma before each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let place = |(index, digit): (usize, char)| {
        let comma = (index > 0 && index % 3 == first).then_some(',');
        comma.into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(place).collect()
}

impl Writer {
    /// Begins to count what interfaces do not send. Where the kernel cannot, it says so once, and forwards as well.
    pub(super) fn count_unsent(&mut self) {
        if let Err(error) = self.datapath.count_unsent() {
            tracing::warn!(failure = %failure(&error), "failed redirects are not counted");
        }
    }

    /// Looks whether frames were lost since the last look.
    pub(super) fn watch_unsent(&mut self) {
        match self.datapath.unsent() {
            Ok(unsent) => self.unsent.look(ours(&unsent, &self.observed), Instant::now()),
            Err(error) => tracing::debug!(%error, "could not read which frames were not sent"),
        }
    }

    pub(super) fn unsent_warnings(&self) -> Vec<Warning> {
        self.unsent.warnings(&self.observed)
    }

    /// The counts in all: as a row beside the other reasons, and in detail.
    pub(super) fn unsent_counts(&self) -> (Option<ReasonCount>, Vec<UnsentCount>) {
        let counts = ours(&self.datapath.unsent().unwrap_or_default(), &self.observed);
        let packets: u64 = counts.values().sum();
        // Their length is not known where they are counted.
        let count = Count { packets, bytes: 0 };
        let row = (packets > 0).then(|| ReasonCount::new(Reason::RedirectFailed, false, count));
        let detail = |((to, error), packets): (&(u32, u32), &u64)| UnsentCount {
            interface: self.observed.link_name(*to),
            error: *error,
            reason: reason(*error),
            packets: *packets,
        };
        (row, counts.iter().map(detail).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::AttachMode;
    use crate::neighbour::Link;

    const DOWN: u32 = 100;

    fn host() -> Observed {
        let link = |name: &str, master| Link { name: name.into(), master, ..Link::default() };
        Observed {
            links: [(2, link("eth0", None)), (3, link("eth1", None)), (4, link("eth2", Some(5)))].into(),
            modes: [(2, AttachMode::Native), (5, AttachMode::Native)].into(),
            ..Observed::default()
        }
    }

    #[test]
    fn only_frames_of_interfaces_with_the_program_count() {
        let unsent = |from, frames| Unsent { from, to: 3, error: DOWN, frames };
        let all = [unsent(None, 1), unsent(Some(2), 20), unsent(Some(3), 300), unsent(Some(4), 4_000)];
        assert_eq!(ours(&all, &host()), [((3, DOWN), 4_021)].into());
    }

    #[test]
    fn a_loss_is_told_while_it_is_recent() {
        let start = Instant::now();
        let mut watch = Watch::default();
        let mut told = |frames, after| {
            watch.look([((3, DOWN), frames)].into(), start + Duration::from_secs(after));
            watch.warnings(&host()).into_iter().map(|warning| warning.message).collect::<Vec<_>>()
        };
        assert_eq!(told(7, 0), Vec::<String>::new(), "what was there before");
        let message = "redirecting to eth1 fails: 1,234 frames (the interface is down)";
        assert_eq!(told(1_234, 1), [message]);
        assert_eq!(told(1_234, 60), [message]);
        assert_eq!(told(1_234, 61), Vec::<String>::new());
    }

    #[test]
    fn every_error_has_words() {
        let rows = [
            (95, "it cannot send redirected frames", true),
            (6, "its peer takes no frames", true),
            (DOWN, "the interface is down", true),
            (90, "larger than its MTU", true),
            (0, "its queue is full", false),
            (12, "out of memory", false),
        ];
        for (error, words, hint) in rows {
            let warning = warning("eth1", error, 1);
            assert_eq!(warning.message, format!("redirecting to eth1 fails: 1 frame ({words})"));
            assert_eq!(warning.hint.is_some(), hint, "{error}");
        }
    }

    #[test]
    fn numbers_are_grouped() {
        let rows = [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345, "12,345"), (1_234_567, "1,234,567")];
        for (number, want) in rows {
            assert_eq!(grouped(number), want);
        }
    }
}
