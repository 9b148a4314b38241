//! The contents of one map put into another of the same keys and values, which may have more or fewer elements.

use super::error::{DatapathError, Result, kernel};
use super::mapped::Mapped;
use super::sys::{Batch, RawMap};

/// Words that are mapped at once: what is mapped counts as resident.
const WINDOW: usize = 64 * 1024;
/// Elements that are copied by one call.
const BATCH: usize = 4_096;

/// How a map of the director is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An array that is mapped into memory and written by the agent alone.
    Words,
    /// A hash map that the agent alone writes.
    Elements,
    /// What is counted: copied as late as can be.
    Counts,
    /// The settings, which a version may give another size.
    Settings,
    /// What follows from another map.
    Index,
    /// Flows, which programs add and change all the time.
    Flows,
}

/// How the map `name` is copied; `None` if it never is.
pub(super) fn kind_of(name: &str) -> Option<Kind> {
    Some(match name {
        "SERVICES" | "VIEWS" | "SERVERS" | "SLOTS" => Kind::Words,
        "SERVICE_KEYS" | "NAT_HOSTS" => Kind::Elements,
        "SEQUENCE" | "SERVICE_COUNTERS" | "SERVER_COUNTERS" | "REASON_COUNTERS" => Kind::Counts,
        "SETTINGS" => Kind::Settings,
        "SERVICE_INDEX" => Kind::Index,
        "CONNECTIONS" => Kind::Flows,
        _ => return None,
    })
}

/// Copies the elements that both maps have, of arrays that can be mapped. The new one holds zeros.
pub(super) fn words(name: &'static str, old: &RawMap, new: &RawMap) -> Result<()> {
    same_value_size(name, old, new)?;
    let words_of = |map: &RawMap| map.info().max_entries as usize * (map.info().value_size as usize / 8);
    let all = words_of(old).min(words_of(new));
    for first in (0..all).step_by(WINDOW) {
        let len = WINDOW.min(all - first);
        let map = |map| Mapped::new(map, first, len).map_err(kernel(format!("map {name} into memory")));
        let (from, to) = (map(old)?, map(new)?);
        for word in 0..len {
            if let Some(value) = from.load(word).filter(|value| *value != 0) {
                to.store(word, value);
            }
        }
    }
    Ok(())
}

/// Copies the elements of a hash map, or those that both arrays have.
pub(super) fn elements(name: &'static str, old: &RawMap, new: &RawMap) -> Result<()> {
    same_value_size(name, old, new)?;
    let failed = |verb| kernel(format!("{verb} {name}"));
    let (key_size, value_size) = (old.info().key_size as usize, old.value_bytes());
    let mut room = BATCH.min(old.info().max_entries as usize);
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    let (mut cursor, mut left) = (None, limit(old, new));
    loop {
        keys.resize(room * key_size, 0);
        values.resize(room * value_size, 0);
        let batch = old.lookup_batch(&mut cursor, &mut keys, &mut values).map_err(failed("read"))?;
        let (Batch::More(count) | Batch::Last(count)) = batch else {
            room *= 2;
            continue;
        };
        let taken = count.min(left);
        let (keys, values) = (keys.get(..taken * key_size), values.get(..taken * value_size));
        if let (Some(keys), Some(values)) = (keys.filter(|keys| !keys.is_empty()), values) {
            new.update_batch(keys, values).map_err(failed("write"))?;
        }
        left -= taken;
        if left == 0 || matches!(batch, Batch::Last(_)) {
            return Ok(());
        }
    }
}

/// How many elements are copied at most: arrays give theirs in the order of their indexes.
fn limit(old: &RawMap, new: &RawMap) -> usize {
    let is_hash = old.info().kind == aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_HASH as u32;
    if is_hash { usize::MAX } else { new.info().max_entries as usize }
}

fn same_value_size(name: &'static str, old: &RawMap, new: &RawMap) -> Result<()> {
    let (was, is) = (old.info().value_size, new.info().value_size);
    if was == is {
        return Ok(());
    }
    let problem = format!("a value of {name} has {is} bytes, and {was} in the pinned map");
    Err(DatapathError::Object { program: "director", problem })
}
