//! Flows copied from one table to another while programs go on writing: all of them first, then what changed.

use super::clock;
use super::error::Result;
use super::map::Table;
use lb_common::connection::{Connection, TcpState};
use lb_common::flow::FlowKey;
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

/// Flows that are written by one call.
const BATCH: usize = 4_096;

/// Entries between two signs of life.
const SIGN_OF_LIFE: u64 = 64 * 1024;
/// The coarse clocks of two CPUs differ by less.
const MARGIN_MS: u32 = 100;

/// A table of flows.
pub(super) type FlowTable = Table<FlowKey, Connection>;

/// Copies the flows of one table to another.
///
/// A flow that was copied is remembered by 64 bits of hash over it, its server and its state, so that the passes that
/// follow ask the kernel only about what is new: 16 MB a million flows, while it lasts.
#[derive(Debug)]
pub(super) struct Copier<'a> {
    old: &'a FlowTable,
    new: &'a FlowTable,
    copied: HashSet<u64>,
    hasher: RandomState,
    /// When the last pass that was not the last of all began, in milliseconds of the program's clock.
    since: Option<u32>,
}

impl<'a> Copier<'a> {
    /// Copies from `old` to `new`; nothing is done yet.
    pub(super) fn new(old: &'a FlowTable, new: &'a FlowTable) -> Self {
        Self { old, new, copied: HashSet::new(), hasher: RandomState::new(), since: None }
    }

    /// Copies what was not copied before, as it is now: how many. For a table that no program uses yet.
    pub(super) fn copy(&mut self) -> Result<u64> {
        let began = clock::now_ms()?;
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        let mut count: u64 = 0;
        let (old, new) = (self.old, self.new);
        old.for_each(|key, connection| {
            if self.is_news(key, connection) {
                keys.push(*key);
                values.push(*connection);
                count += 1;
            }
            if keys.len() < BATCH {
                return Ok(());
            }
            new.set_all(&std::mem::take(&mut keys), &std::mem::take(&mut values))
        })?;
        new.set_all(&keys, &values)?;
        self.since = Some(began.wrapping_sub(MARGIN_MS));
        Ok(count)
    }

    /// Brings over what was not copied before, beside what programs have written to the new table meanwhile: how many.
    /// What a full table has no room for is left out.
    ///
    /// `alive` is called every now and then.
    pub(super) fn merge(&mut self, alive: impl Fn() -> Result<()>) -> Result<u64> {
        let (mut count, mut seen): (u64, u64) = (0, 0);
        let (old, new, now) = (self.old, self.new, clock::now_ms()?);
        old.for_each(|key, connection| {
            seen += 1;
            if seen.is_multiple_of(SIGN_OF_LIFE) {
                alive()?;
            }
            if self.is_old(key, connection, now) || !self.is_news(key, connection) {
                return Ok(());
            }
            match new.insert(key, connection) {
                Ok(true) => {
                    count += 1;
                    return Ok(());
                }
                Ok(false) => count += 1,
                // As the program itself does: it is forwarded, and not remembered.
                Err(error) if error.is_full() => return Ok(()),
                Err(error) => return Err(error),
            }
            let merged = new.get(key)?.and_then(|there| merge(connection, &there));
            merged.map_or(Ok(()), |merged| new.set(key, &merged))
        })?;
        Ok(count)
    }

    /// Whether nothing happened to the flow since the pass before: a program that adds or changes one notes the time.
    /// The server's side of a nat connection may be added with the time of its first packet.
    fn is_old(&self, key: &FlowKey, connection: &Connection, now: u32) -> bool {
        let pass = self.since.map(|since| now.wrapping_sub(since));
        !key.owner.is_reply() && pass.is_some_and(|pass| connection.idle(now) > pass)
    }

    /// Whether the flow was not copied yet, or has another server or state since; from now on it was.
    fn is_news(&mut self, key: &FlowKey, connection: &Connection) -> bool {
        self.copied.insert(self.hasher.hash_one((key, connection.server, connection.state)))
    }
}

/// What an entry becomes that is `there` in the new table while the old table has `old`; `None` if it is right.
///
/// The one that was seen last is right. A connection that the old program saw closing is closing, though the new
/// program, which did not see the FIN, has seen a packet since.
fn merge(old: &Connection, there: &Connection) -> Option<Connection> {
    let since = old.last_seen.wrapping_sub(there.last_seen);
    if since != 0 && since <= u32::MAX / 2 {
        return Some(*old);
    }
    let missed = old.server == there.server
        && TcpState::from_byte(old.state).is_closing()
        && TcpState::from_byte(there.state) == TcpState::Established;
    missed.then_some(Connection { state: old.state, ..*there })
}

#[cfg(test)]
mod tests {
    use super::*;
    use TcpState::{Closed, Established, Finishing, Opening};
    use lb_common::server::ServerRef;

    #[test]
    fn the_entry_that_was_seen_last_is_right_and_a_fin_is_not_forgotten() {
        let entry = |server, state: TcpState, last_seen| Connection {
            server: ServerRef::new(server, 1),
            last_seen,
            state: state as u8,
            ..Connection::default()
        };
        let rows = [
            ("the same", entry(1, Established, 5), entry(1, Established, 5), None),
            (
                "it went on in the old table",
                entry(1, Finishing, 9),
                entry(1, Established, 5),
                Some(entry(1, Finishing, 9)),
            ),
            (
                "it was opened again by the old program",
                entry(2, Opening, 9),
                entry(1, Closed, 5),
                Some(entry(2, Opening, 9)),
            ),
            (
                "the new program missed the FIN",
                entry(1, Finishing, 5),
                entry(1, Established, 9),
                Some(entry(1, Finishing, 9)),
            ),
            (
                "the new program missed the reset",
                entry(1, Closed, 5),
                entry(1, Established, 5),
                Some(entry(1, Closed, 5)),
            ),
            ("it was opened again by the new program", entry(1, Closed, 5), entry(2, Established, 9), None),
            ("it went on in the new table", entry(1, Established, 5), entry(1, Finishing, 9), None),
            (
                "the clock wrapped",
                entry(1, Established, 3),
                entry(1, Opening, u32::MAX - 3),
                Some(entry(1, Established, 3)),
            ),
        ];
        for (name, old, there, want) in rows {
            assert_eq!(merge(&old, &there), want, "{name}");
        }
    }
}
