//! The index of services: its words follow from the keys, and each is written beside the key that it tells of.

use crate::datapath::tables::{Kernel, Places, Write, by_place};
use lb_common::index::{Indexed, place};
use lb_common::service::ServiceKey;
use std::collections::{BTreeMap, BTreeSet};

/// `writes`, which are for `kernel`, with the words of `SERVICE_INDEX` that belong to them.
///
/// A key is in `SERVICE_KEYS` before a word says so, and as long as one does: a word that says "several" is right whatever
/// the keys are. Before all else the table is made to say what packets find, and words go that lead to nothing.
pub fn with_index(writes: Vec<Write>, kernel: &Kernel) -> Vec<Write> {
    let mut index = Index::of(kernel);
    let changed: BTreeSet<ServiceKey> = writes.iter().filter_map(Write::key).collect();
    let stale = kernel.stale_keys.keys().filter(|key| !changed.contains(key));
    let fresh = stale.map(|key| Write::ServiceKey(*key, kernel.service_keys.get(key).copied()));
    let writes: Vec<Write> = fresh.chain(writes).collect();
    let mut all = index.repairs(&writes.iter().filter_map(Write::key).map(|key| place(&key)).collect());
    for write in writes {
        let Write::ServiceKey(key, id) = write else {
            all.push(write);
            continue;
        };
        let word = index.change(key, id);
        if id.is_some() {
            all.push(write);
            all.extend(word);
        } else {
            all.extend(word);
            all.push(write);
        }
    }
    all
}

/// Keys and index, as they are after the writes so far.
struct Index {
    keys: Places,
    words: BTreeMap<u32, Indexed>,
}

impl Index {
    fn of(kernel: &Kernel) -> Self {
        // What the table says, where it says something else.
        let keys = by_place(kernel.service_keys.iter().chain(&kernel.stale_keys));
        Self { keys, words: kernel.service_index.clone() }
    }

    /// Words of places where no key changes.
    fn repairs(&mut self, changed: &BTreeSet<u32>) -> Vec<Write> {
        let places: BTreeSet<u32> = self.keys.keys().chain(self.words.keys()).copied().collect();
        places.difference(changed).filter_map(|place| self.write(*place)).collect()
    }

    fn change(&mut self, key: ServiceKey, id: Option<u32>) -> Option<Write> {
        let keys = self.keys.entry(place(&key)).or_default();
        match id {
            Some(id) => keys.insert(key, id),
            None => keys.remove(&key),
        };
        self.write(place(&key))
    }

    /// The write of a place's word, if it is another one now.
    fn write(&mut self, place: u32) -> Option<Write> {
        let word = Indexed::of(self.keys.get(&place).into_iter().flatten());
        let old = self.words.insert(place, word).unwrap_or_default();
        (old != word).then_some(Write::Index(place, word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::tables::found;
    use lb_common::address::Address;

    type Pairs = [(ServiceKey, u32)];

    /// Two keys of one place.
    fn twins() -> (ServiceKey, ServiceKey) {
        let mut seen = BTreeMap::new();
        let vips =
            (0..=u16::MAX).map(u16::to_be_bytes).map(|[high, low]| Address::from_v4([10, 0, high, low]));
        let keys = vips.flat_map(|vip| [80, 443, 8080].map(|port| ServiceKey::new(vip, port.into(), 6)));
        let mut twin = |key| seen.insert(place(&key), key).map(|first| (first, key));
        keys.into_iter().find_map(&mut twin).unwrap()
    }

    fn kernel(keys: &[(ServiceKey, u32)]) -> Kernel {
        let mut kernel = Kernel { service_keys: keys.iter().copied().collect(), ..Kernel::default() };
        let sets = keys.iter().map(|(key, id)| Write::ServiceKey(*key, Some(*id))).collect();
        for write in with_index(sets, &Kernel::default()) {
            if let Write::Index(place, word) = write {
                kernel.service_index.insert(place, word);
            }
        }
        kernel
    }

    #[test]
    fn a_word_comes_after_a_key_that_is_set_and_before_one_that_goes() {
        let (one, two) = twins();
        let word = |word| Write::Index(place(&one), word);
        let set = |key, id| Write::ServiceKey(key, Some(id));
        let gone = |key| Write::ServiceKey(key, None);
        let rows: [(&str, &Pairs, Write, Vec<Write>); 8] = [
            ("the first", &[], set(one, 3), vec![set(one, 3), word(Indexed::one(&one, 3))]),
            ("another", &[(one, 3)], set(two, 4), vec![set(two, 4), word(Indexed::SEVERAL)]),
            ("of another service", &[(one, 3)], set(one, 4), vec![set(one, 4), word(Indexed::one(&one, 4))]),
            ("beside another", &[(one, 3), (two, 3)], set(one, 4), vec![set(one, 4)]),
            (
                "one of two goes",
                &[(one, 3), (two, 4)],
                gone(one),
                vec![word(Indexed::one(&two, 4)), gone(one)],
            ),
            ("the same again", &[(two, 3)], set(two, 3), vec![set(two, 3)]),
            ("the last goes", &[(one, 3)], gone(one), vec![word(Indexed::NONE), gone(one)]),
            ("one that is not there", &[], gone(one), vec![gone(one)]),
        ];
        for (name, keys, write, want) in rows {
            assert_eq!(with_index(vec![write], &kernel(keys)), want, "{name}");
        }
    }

    #[test]
    fn what_an_agent_that_was_killed_or_a_stranger_left_is_mended_before_all_else() {
        let (one, two) = twins();
        let word = |word| Write::Index(place(&one), word);
        let set = |key, id| Write::ServiceKey(key, Some(id));
        let gone = |key| Write::ServiceKey(key, None);
        // What the table says, and the word.
        let rows: [(&str, &Pairs, Indexed, Vec<Write>); 6] = [
            ("a key that was to be new, or to go", &[(one, 3)], Indexed::NONE, vec![gone(one)]),
            ("a word of no key", &[], Indexed::one(&one, 3), vec![word(Indexed::NONE)]),
            ("a key that was to move", &[(one, 3)], Indexed::one(&one, 4), vec![set(one, 4)]),
            (
                "a second key that was to be new",
                &[(one, 3), (two, 3)],
                Indexed::one(&one, 3),
                vec![gone(two)],
            ),
            ("several where one is", &[(two, 3)], Indexed::SEVERAL, vec![word(Indexed::one(&two, 3))]),
            ("several where none is", &[], Indexed::SEVERAL, vec![word(Indexed::NONE)]),
        ];
        for (name, table, strange, want) in rows {
            let service_index = [(place(&one), strange)].into();
            let (service_keys, stale_keys) =
                found(&table.iter().copied().collect(), &service_index, |_| Some(one.address));
            let kernel = Kernel { service_keys, stale_keys, service_index, ..Kernel::default() };
            let next = Write::RetireService(1);
            let writes = with_index(vec![next.clone()], &kernel);
            assert_eq!(writes, [want, vec![next]].concat(), "{name}");
        }
    }
}
