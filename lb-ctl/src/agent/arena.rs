//! Places for slot tables in the one arena that all services share.

use super::ids::Full;
use lb_common::service::SlotRange;
use std::collections::BTreeMap;

/// Which parts of the arena are taken. Slot 0 is never given out.
#[derive(Debug)]
pub(super) struct Arena {
    taken: BTreeMap<u32, u32>,
    limit: u32,
}

impl Arena {
    /// An arena of `limit` slots in which the ranges (first, length) are taken. They may be named twice; one that this
    /// arena cannot have given out takes no room.
    pub(super) fn new(limit: u32, taken: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut arena = Self { taken: BTreeMap::new(), limit };
        let is_range = |(first, len): &(u32, u32)| *first > 0 && first.saturating_add(*len) <= limit;
        for (first, len) in taken.into_iter().filter(is_range) {
            let known = arena.taken.entry(first).or_insert(len);
            *known = len.max(*known);
        }
        arena
    }

    /// The first gap of `len` slots, which is taken from now on. A length of 0 needs no place.
    ///
    /// # Errors
    ///
    /// [`Full`] if no gap is long enough.
    pub(super) fn take(&mut self, len: u32) -> Result<SlotRange, Full> {
        if len == 0 {
            return Ok(SlotRange::default());
        }
        let mut first = 1;
        for (start, length) in &self.taken {
            if start.saturating_sub(first) >= len {
                break;
            }
            first = first.max(start.saturating_add(*length));
        }
        if self.limit.saturating_sub(first) < len {
            return Err(Full { what: "slots", wanted: len, limit: self.limit.saturating_sub(1) });
        }
        self.taken.insert(first, len);
        Ok(SlotRange { first, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_gap_that_is_long_enough_is_taken() {
        let mut arena = Arena::new(100, [(5, 10), (20, 10), (5, 10)]);
        assert_eq!(arena.take(4), Ok(SlotRange { first: 1, len: 4 }));
        assert_eq!(arena.take(6), Ok(SlotRange { first: 30, len: 6 }));
        assert_eq!(arena.take(5), Ok(SlotRange { first: 15, len: 5 }));
        assert_eq!(arena.take(65), Err(Full { what: "slots", wanted: 65, limit: 99 }));
        assert_eq!(arena.take(64), Ok(SlotRange { first: 36, len: 64 }));
        assert_eq!(arena.take(0), Ok(SlotRange::default()));
        assert!(arena.take(1).is_err());
    }

    #[test]
    fn a_range_that_was_never_given_out_takes_no_room() {
        let mut arena = Arena::new(100, [(0, 100), (1, u32::MAX), (90, 11), (90, 10)]);
        assert_eq!(arena.take(89), Ok(SlotRange { first: 1, len: 89 }));
    }
}
