//! Maps with the types of their keys and values, through bpf(2).

use super::error::{DatapathError, Result, kernel};
use super::sys::{Batch, RawMap};
use std::marker::PhantomData;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Elements read at once. A batch ends with a whole bucket; buckets of the kernel's hash tables are short.
const BATCH: usize = 4_096;

/// What can be a key or a value.
pub(super) trait Plain: FromBytes + IntoBytes + Immutable + Copy {}
impl<T: FromBytes + IntoBytes + Immutable + Copy> Plain for T {}

/// A map from `K` to `V`.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    name: &'static str,
    map: RawMap,
    types: PhantomData<fn(K) -> V>,
}

impl<K: Plain, V: Plain> Table<K, V> {
    /// The map `name`. Its sizes were compared with the program's before.
    pub(super) fn new(name: &'static str, map: RawMap) -> Self {
        Self { name, map, types: PhantomData }
    }

    /// The kernel's number for it.
    pub(super) fn id(&self) -> u32 {
        self.map.info().id
    }

    /// Number of elements it has room for.
    pub(super) fn entries(&self) -> u32 {
        self.map.info().max_entries
    }

    /// The value of `key`.
    pub(super) fn get(&self, key: &K) -> Result<Option<V>> {
        let mut value = V::new_zeroed();
        let found = self.map.lookup(key.as_bytes(), value.as_mut_bytes()).map_err(self.failed("read"))?;
        Ok(found.then_some(value))
    }

    /// Sets the value of `key`.
    pub(super) fn set(&self, key: &K, value: &V) -> Result<()> {
        self.map.update(key.as_bytes(), value.as_bytes()).map_err(self.failed("write"))
    }

    /// Sets the value of `key` if it has none; `false` if it has.
    pub(super) fn insert(&self, key: &K, value: &V) -> Result<bool> {
        self.map.insert(key.as_bytes(), value.as_bytes()).map_err(self.failed("write"))
    }

    /// Sets the values of equally many `keys`, by one call.
    pub(super) fn set_all(&self, keys: &[K], values: &[V]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        self.map.update_batch(keys.as_bytes(), values.as_bytes()).map_err(self.failed("write"))
    }

    /// Removes `key`; `false` if it was not there.
    pub(super) fn remove(&self, key: &K) -> Result<bool> {
        self.map.delete(key.as_bytes()).map_err(self.failed("remove from"))
    }

    /// Hands every element to `visit`, those of a hash map in no order.
    ///
    /// What is there from beginning to end is seen once; what comes or goes meanwhile may be seen or not.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&K, &V) -> Result<()>) -> Result<()> {
        let mut room = BATCH.min(self.entries() as usize);
        let (mut keys, mut values) = (vec![K::new_zeroed(); room], vec![V::new_zeroed(); room]);
        let mut cursor = None;
        loop {
            let batch = self
                .map
                .lookup_batch(
                    &mut cursor,
                    keys.as_mut_slice().as_mut_bytes(),
                    values.as_mut_slice().as_mut_bytes(),
                )
                .map_err(self.failed("read"))?;
            let (count, last) = match batch {
                Batch::More(count) => (count, false),
                Batch::Last(count) => (count, true),
                Batch::TooSmall => {
                    room *= 2;
                    keys.resize(room, K::new_zeroed());
                    values.resize(room, V::new_zeroed());
                    (0, false)
                }
            };
            keys.iter().zip(&values).take(count).try_for_each(|(key, value)| visit(key, value))?;
            if last {
                return Ok(());
            }
        }
    }

    fn failed(&self, verb: &str) -> impl FnOnce(std::io::Error) -> DatapathError {
        kernel(format!("{verb} {}", self.name))
    }
}

/// An array with a value for each CPU.
#[derive(Debug)]
pub(super) struct PerCpu<V> {
    name: &'static str,
    map: RawMap,
    cpus: usize,
    types: PhantomData<fn() -> V>,
}

impl<V: Plain> PerCpu<V> {
    /// The map `name`, made with `cpus` possible CPUs. The size of `V` is a multiple of eight.
    pub(super) fn new(name: &'static str, map: RawMap, cpus: usize) -> Self {
        const { assert!(size_of::<V>().is_multiple_of(8), "the kernel pads values to eight bytes") };
        Self { name, map, cpus, types: PhantomData }
    }

    /// The values of an element, one a CPU.
    pub(super) fn get(&self, index: u32) -> Result<Vec<V>> {
        let mut values = vec![V::new_zeroed(); self.cpus];
        let bytes = values.as_mut_slice().as_mut_bytes();
        let found =
            self.map.lookup(index.as_bytes(), bytes).map_err(kernel(format!("read {}", self.name)))?;
        if found { Ok(values) } else { Err(self.outside(index)) }
    }

    /// Sets an element to zero on every CPU.
    pub(super) fn clear(&self, index: u32) -> Result<()> {
        let zero = vec![V::new_zeroed(); self.cpus];
        let bytes = zero.as_slice().as_bytes();
        self.map
            .update(index.as_bytes(), bytes)
            .map_err(kernel(format!("clear element {index} of {}", self.name)))
    }

    fn outside(&self, index: u32) -> DatapathError {
        DatapathError::OutOfRange { map: self.name, index, entries: self.map.info().max_entries }
    }
}
