//! Older layouts of the pinned maps, and how each becomes the present one.

use super::error::{Result, kernel};
use super::map::Table;
use super::mapped::MappedArray;
use super::pins;
use super::sys::RawMap;
use super::tables::by_place;
use lb_common::counters::Settings;
use lb_common::index::Indexed;
use lb_common::maps::SCHEMA_VERSION;
use lb_common::service::ServiceKey;
use std::collections::BTreeMap;
use std::path::Path;
use zerocopy::{FromZeros as _, IntoBytes as _};

/// The map that version 4 brought.
pub(super) const INDEX: &str = "SERVICE_INDEX";

/// The older versions that can be migrated.
pub(super) const KNOWN: [u32; 3] = [1, 2, 3];

/// The maps that have another layout in schema `version`; `None` for a version that is not known.
///
/// Version 1: `SETTINGS` ends after the allowance for answers. Version 2: views name no older table and every service is
/// tracked, which zeros mean in later versions too; `SETTINGS` holds the version. Version 3: programs counted a packet for
/// its service and reason as well, and there was no `SERVICE_INDEX`.
pub(super) const fn changed_since(version: u32) -> Option<&'static [&'static str]> {
    match version {
        1..=3 => Some(&["SETTINGS", INDEX, "SERVICE_COUNTERS", "SERVER_COUNTERS", "REASON_COUNTERS"]),
        SCHEMA_VERSION => Some(&[]),
        _ => None,
    }
}

/// Fills the settings `new` with those of an older version: it has fewer fields, and what it has is in the same place.
pub(super) fn widen_settings(old: &RawMap, new: &RawMap) -> Result<()> {
    let mut bytes = vec![0; old.info().value_size as usize];
    old.lookup(0_u32.as_bytes(), &mut bytes).map_err(kernel("read SETTINGS"))?;
    let words: [u64; 4] = zerocopy::transmute!(Settings { schema: SCHEMA_VERSION, ..widened(&bytes) });
    let new = MappedArray::<4>::new("SETTINGS", new)?;
    words.iter().enumerate().try_for_each(|(place, word)| new.set_word(0, place, *word))
}

/// Whether there are keys, and the index of them is lost.
pub(super) fn is_index_lost(maps: &Path) -> Result<bool> {
    Ok(pins::open(&maps.join("SERVICE_KEYS"))?.is_some() && pins::open(&maps.join(INDEX))?.is_none())
}

/// Fills the empty index `new` as the keys in the map `keys` want it.
pub(super) fn fill_index(keys: RawMap, new: &RawMap) -> Result<()> {
    let mut all: BTreeMap<ServiceKey, u32> = BTreeMap::new();
    Table::new("SERVICE_KEYS", keys).for_each(|key, id| {
        all.insert(*key, *id);
        Ok(())
    })?;
    let new = MappedArray::<1>::new(INDEX, new)?;
    by_place(&all).iter().try_for_each(|(place, keys)| new.set_word(*place, 0, Indexed::of(keys).0))
}

fn widened(bytes: &[u8]) -> Settings {
    let mut settings = Settings::new_zeroed();
    settings.as_mut_bytes().iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_older_version_has_a_way_and_others_have_none() {
        for version in 0..=SCHEMA_VERSION + 1 {
            let known = KNOWN.contains(&version) || version == SCHEMA_VERSION;
            assert_eq!(changed_since(version).is_some(), known, "{version}");
        }
        assert_eq!(KNOWN.to_vec(), (1..SCHEMA_VERSION).collect::<Vec<_>>());
    }

    #[test]
    fn settings_of_version_1_keep_their_places() {
        let old: Vec<u8> = [1_u32, 3, 100, 1_000].iter().flat_map(|field| field.to_ne_bytes()).collect();
        let want = Settings {
            schema: 1,
            flags: 3,
            sample_period: 100,
            answers_per_second: 1_000,
            ..Settings::default()
        };
        assert_eq!(widened(&old), want);
    }
}
