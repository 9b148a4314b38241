//! One map, by its descriptor: elements as bytes.

use super::{bpf, info, number, owned};
use crate::fault;
use aya_obj::generated::{bpf_cmd, bpf_map_type};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use zerocopy::{FromBytes, IntoBytes};

/// A map, with the sizes that the kernel says it has.
#[derive(Debug)]
pub(in crate::datapath) struct RawMap {
    fd: OwnedFd,
    info: MapInfo,
    value_bytes: usize,
}

/// The beginning of `bpf_map_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes)]
pub(in crate::datapath) struct MapInfo {
    pub(in crate::datapath) kind: u32,
    pub(in crate::datapath) id: u32,
    pub(in crate::datapath) key_size: u32,
    pub(in crate::datapath) value_size: u32,
    pub(in crate::datapath) max_entries: u32,
    pub(in crate::datapath) flags: u32,
}

#[repr(C)]
#[derive(IntoBytes)]
struct Create {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner_map: u32,
}

/// Makes an array of one element: a number, or a map like `inner`.
pub(in crate::datapath) fn create_array(inner: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
    let kind = if inner.is_some() {
        bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS
    } else {
        bpf_map_type::BPF_MAP_TYPE_ARRAY
    };
    let inner_map = inner.map_or(0, |inner| number(inner.as_raw_fd()));
    let mut attributes =
        Create { kind: kind as u32, key_size: 4, value_size: 4, max_entries: 1, flags: 0, inner_map };
    // SAFETY: the attributes hold no address.
    owned(unsafe { bpf(bpf_cmd::BPF_MAP_CREATE, &mut attributes) }?)
}

#[repr(C)]
#[derive(IntoBytes)]
struct Element {
    map: u32,
    unused: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(IntoBytes)]
struct Batched {
    cursor_in: u64,
    cursor_out: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// What a step through a map gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::datapath) enum Batch {
    /// So many elements, and there are more.
    More(usize),
    /// So many elements, the last ones.
    Last(usize),
    /// The next bucket has more elements than the buffers hold.
    TooSmall,
}

/// Size of a value in the buffers of bpf(2), where `cpus` is the number of possible CPUs of a per-CPU map, else `None`.
fn value_bytes(size: u32, cpus: Option<usize>) -> usize {
    let size = size as usize;
    cpus.map_or(size, |cpus| size.next_multiple_of(8) * cpus)
}

impl RawMap {
    /// The map behind `fd`; `cpus` is the number of possible CPUs if it is a per-CPU map.
    pub(in crate::datapath) fn new(fd: OwnedFd, cpus: Option<usize>) -> io::Result<Self> {
        let info: MapInfo = info(fd.as_fd())?;
        Ok(Self { fd, info, value_bytes: value_bytes(info.value_size, cpus) })
    }

    /// The same map, as one of `cpus` possible CPUs if it has a value for each.
    pub(in crate::datapath) fn on_cpus(self, cpus: usize) -> Self {
        let is_per_cpu = self.info.kind == bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY as u32;
        let value_bytes = value_bytes(self.info.value_size, is_per_cpu.then_some(cpus));
        Self { value_bytes, ..self }
    }

    pub(in crate::datapath) fn info(&self) -> &MapInfo {
        &self.info
    }

    /// Reads the value of `key`; `false` if there is none.
    pub(in crate::datapath) fn lookup(&self, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
        let mut element = self.element(key, value)?;
        // SAFETY: `element` checked the sizes of both slices, which outlive the call; `value` is writable.
        absent_is_false(unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut element) })
    }

    /// Sets the value of `key`.
    pub(in crate::datapath) fn update(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let mut element = self.element(key, value)?;
        fault::around("an element of a map", || {
            // SAFETY: `element` checked the sizes of both slices, which outlive the call.
            unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut element) }.map(drop)
        })
    }

    /// Sets the value of `key` if it has none; `false` if it has.
    pub(in crate::datapath) fn insert(&self, key: &[u8], value: &[u8]) -> io::Result<bool> {
        let mut element = self.element(key, value)?;
        element.flags = u64::from(aya_obj::generated::BPF_NOEXIST);
        fault::around("a new element of a map", || {
            // SAFETY: as in `update`.
            match unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut element) } {
                Ok(_) => Ok(true),
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    /// Sets the values of equally many `keys`, by one call. Where it fails, some of them are set.
    pub(in crate::datapath) fn update_batch(&self, keys: &[u8], values: &[u8]) -> io::Result<()> {
        let count = keys.len().checked_div(self.info.key_size as usize).unwrap_or(0);
        has_size(values, count.saturating_mul(self.value_bytes))?;
        let mut step = Batched {
            cursor_in: 0,
            cursor_out: 0,
            keys: keys.as_ptr() as u64,
            values: values.as_ptr() as u64,
            count: u32::try_from(count).map_err(io::Error::other)?,
            map: number(self.fd.as_raw_fd()),
            element_flags: 0,
            flags: 0,
        };
        fault::around("elements of a map", || {
            // SAFETY: `keys` and `values` hold `count` elements each and outlive the call, which only reads them.
            unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_BATCH, &mut step) }.map(drop)
        })
    }

    /// Size of a value in the buffers of bpf(2).
    pub(in crate::datapath) fn value_bytes(&self) -> usize {
        self.value_bytes
    }

    /// Removes `key`; `false` if it was not there.
    pub(in crate::datapath) fn delete(&self, key: &[u8]) -> io::Result<bool> {
        has_size(key, self.info.key_size as usize)?;
        let mut element = Element {
            map: number(self.fd.as_raw_fd()),
            unused: 0,
            key: key.as_ptr() as u64,
            value: 0,
            flags: 0,
        };
        fault::around("a map without an element", || {
            // SAFETY: `key` has the size of a key and outlives the call.
            absent_is_false(unsafe { bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut element) })
        })
    }

    /// Reads the elements of the next buckets into `keys` and `values`, which hold equally many.
    ///
    /// `cursor` is where the last step ended, `None` before the first one.
    pub(in crate::datapath) fn lookup_batch(
        &self,
        cursor: &mut Option<u64>,
        keys: &mut [u8],
        values: &mut [u8],
    ) -> io::Result<Batch> {
        let room = keys.len().checked_div(self.info.key_size as usize).unwrap_or(0);
        has_size(values, room.saturating_mul(self.value_bytes))?;
        let (from, mut to) = (*cursor, 0_u64);
        let mut step = Batched {
            cursor_in: from.as_ref().map_or(0, |from| std::ptr::from_ref(from) as u64),
            cursor_out: std::ptr::from_mut(&mut to) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: u32::try_from(room).map_err(io::Error::other)?,
            map: number(self.fd.as_raw_fd()),
            element_flags: 0,
            flags: 0,
        };
        // SAFETY: `keys` and `values` have room for `count` elements; the cursor is four bytes, a bucket or the key of an array.
        let result = unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut step) };
        *cursor = Some(to);
        let count = (step.count as usize).min(room);
        match result.map_err(|error| (error.raw_os_error(), error)) {
            Ok(_) => Ok(Batch::More(count)),
            Err((Some(libc::ENOENT), _)) => Ok(Batch::Last(count)),
            Err((Some(libc::ENOSPC), _)) => {
                *cursor = from;
                Ok(Batch::TooSmall)
            }
            Err((_, error)) => Err(error),
        }
    }

    fn element(&self, key: &[u8], value: &[u8]) -> io::Result<Element> {
        has_size(key, self.info.key_size as usize)?;
        has_size(value, self.value_bytes)?;
        let (key, value) = (key.as_ptr() as u64, value.as_ptr() as u64);
        Ok(Element { map: number(self.fd.as_raw_fd()), unused: 0, key, value, flags: 0 })
    }
}

impl AsFd for RawMap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn has_size(slice: &[u8], bytes: usize) -> io::Result<()> {
    if slice.len() == bytes {
        return Ok(());
    }
    Err(io::Error::other(format!("{} bytes where the map has {bytes}", slice.len())))
}

fn absent_is_false(result: io::Result<i64>) -> io::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}
