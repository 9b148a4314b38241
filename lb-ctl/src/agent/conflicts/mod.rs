//! Whether somebody else on the segment has a VIP as well: another director, or a server that answers ARP for it.
//!
//! What others say is heard, and now and then the segment is asked, because a holder may be silent. What was heard is
//! kept in [`Watch`], which `status` reads; it changes nothing else.

mod watch;

use super::journal::{Journal, News};
use super::state::Observed;
use super::time;
use super::vips::Placed;
use crate::api::{EventKind, Level, Warning};
use crate::neighbour::announce::probe;
use crate::neighbour::{Listener, Mac};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};
use watch::{Conflict, Watch};

/// Time between two looks at what is due.
const TICK: Duration = Duration::from_secs(1);

/// What the writer has of it.
#[derive(Clone, Debug)]
pub(super) struct Conflicts {
    shared: Arc<Mutex<Shared>>,
    journal: Journal,
}

#[derive(Debug, Default)]
struct Shared {
    watch: Watch,
    /// Why nothing is heard.
    deaf: Option<String>,
}

impl Conflicts {
    /// Begins to listen, beside everything else.
    pub(super) fn start(journal: Journal) -> Self {
        let conflicts = Self { shared: Arc::default(), journal };
        match Listener::open() {
            Ok(listener) => drop(tokio::spawn(conflicts.clone().run(listener))),
            Err(error) => conflicts.lock().go_deaf(&error),
        }
        conflicts
    }

    /// Makes `vips` what is watched, each on the interface that it is on.
    pub(super) fn follow(&self, vips: &Placed, observed: &Observed) {
        let ended = self.lock().watch.follow(vips, observed);
        for conflict in &ended {
            self.tell_end(conflict);
        }
    }

    /// Who else has a VIP.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let shared = self.lock();
        let deaf = shared.deaf.as_ref().map(|error| Warning {
            message: format!("another holder of a VIP would not be noticed: {error}"),
            hint: Some("listening to ARP needs CAP_NET_RAW".to_owned()),
        });
        deaf.into_iter().chain(shared.watch.conflicts().map(|conflict| warning(&conflict))).collect()
    }

    fn tell_begin(&self, conflict: &Conflict) {
        let text = format!("also at {} on {}", mac_text(conflict.mac), conflict.interface);
        self.tell(Level::Warn, conflict, text);
    }

    fn tell_end(&self, conflict: &Conflict) {
        let text = format!("not at {} on {} any more", mac_text(conflict.mac), conflict.interface);
        self.tell(Level::Info, conflict, text);
    }

    fn tell(&self, level: Level, conflict: &Conflict, text: String) {
        self.journal.record(News::new(level, EventKind::Vip, &conflict.vip.to_string(), text));
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self, listener: Listener) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                heard = listener.next() => match heard {
                    Ok((ifindex, claim)) => {
                        let news = self.lock().watch.hear(ifindex, claim, Instant::now(), time::now());
                        if let Some(conflict) = &news {
                            self.tell_begin(conflict);
                        }
                    }
                    Err(error) => return self.lock().go_deaf(&error),
                },
                _ = ticks.tick() => self.tick(),
            }
        }
    }

    fn tick(&self) {
        let now = Instant::now();
        let (ended, due) = {
            let watch = &mut self.lock().watch;
            (watch.end(now), watch.due(now))
        };
        for conflict in &ended {
            self.tell_end(conflict);
        }
        for question in due {
            let vip = question.vip;
            if let Err(error) = probe(question.ifindex, question.mac, vip, question.source) {
                tracing::debug!(%vip, %error, "could not ask who else has a VIP");
            }
        }
    }
}

impl Shared {
    fn go_deaf(&mut self, error: &std::io::Error) {
        tracing::error!(%error, "another holder of a VIP would not be noticed");
        self.deaf = Some(error.to_string());
    }
}

fn warning(conflict: &Conflict) -> Warning {
    let Conflict { vip, interface, mac, seen } = conflict;
    let (hours, minutes, seconds) = (seen / 3_600 % 24, seen / 60 % 60, seen % 60);
    let mac = mac_text(*mac);
    Warning {
        message: format!(
            "VIP {vip} is also at {mac} on {interface} (seen {hours:02}:{minutes:02}:{seconds:02} UTC)"
        ),
        hint: Some(
            "another director that has it, or a server that answers ARP for it: arp_ignore, arp_announce"
                .to_owned(),
        ),
    }
}

fn mac_text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_names_the_vip_the_other_and_the_time() {
        let conflict = Conflict {
            vip: "192.0.2.10".parse().unwrap(),
            mac: [2, 0, 0, 0, 0, 7],
            interface: "eth0".to_owned(),
            seen: 1_700_000_000 / 86_400 * 86_400 + 43_391,
        };
        let told = warning(&conflict);
        assert_eq!(told.message, "VIP 192.0.2.10 is also at 02:00:00:00:00:07 on eth0 (seen 12:03:11 UTC)");
        assert!(told.hint.unwrap().contains("arp_ignore"));
    }
}
