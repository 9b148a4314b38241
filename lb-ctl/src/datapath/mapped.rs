//! Arrays of the kernel in this process's memory: words that change by one aligned store.
//!
//! A slot, a server's next hop or the view of a service is read by running programs while it changes. A copy by
//! `memcpy`, which is what an update through bpf(2) is, may show them half of it; a store of one word cannot.

use super::error::{DatapathError, Result, kernel};
use super::sys::RawMap;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// A range of words of an array map, mapped until it is dropped.
#[derive(Debug)]
pub(super) struct Mapped {
    start: NonNull<AtomicU64>,
    /// Words from the start of the mapping, which begins at a page, to the first one of the range.
    skip: usize,
    /// Words of the range.
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for Mapped {}
// SAFETY: it is only reached through atomic loads and stores.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps `len` words of `map` from word `first` on. The map must be mmapable.
    pub(super) fn new(map: &RawMap, first: usize, len: usize) -> io::Result<Self> {
        let page = page_size()? / WORD;
        let skip = first % page;
        let offset = libc::off_t::try_from((first - skip) * WORD).map_err(io::Error::other)?;
        let (bytes, fd) = ((skip + len) * WORD, map.as_fd().as_raw_fd());
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory that is in use.
        let address =
            unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, libc::MAP_SHARED, fd, offset) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(address.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Self { start, skip, len })
    }

    /// The word at `index`, or `None` outside of the range.
    pub(super) fn load(&self, index: usize) -> Option<u64> {
        self.word(index).map(|word| word.load(Ordering::Acquire))
    }

    /// Stores a word, after everything that was stored before; `false` outside of the range.
    pub(super) fn store(&self, index: usize, value: u64) -> bool {
        self.word(index).map(|word| word.store(value, Ordering::Release)).is_some()
    }

    fn word(&self, index: usize) -> Option<&AtomicU64> {
        if index >= self.len {
            return None;
        }
        // SAFETY: the mapping has `skip + len` words.
        let word = unsafe { self.start.add(self.skip + index) };
        // SAFETY: it is aligned, as the mapping begins at a page, lives as long as `self`, and only atomics reach it.
        Some(unsafe { word.as_ref() })
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let bytes = (self.skip + self.len) * WORD;
        // SAFETY: the range is the one that `mmap` returned, and no reference into it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), bytes) };
    }
}

fn page_size() -> io::Result<usize> {
    // SAFETY: the call takes a number only.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).map_err(|_| io::Error::last_os_error())
}

/// An array map of values of `N` words each, mapped whole.
#[derive(Debug)]
pub(super) struct MappedArray<const N: usize> {
    name: &'static str,
    words: Mapped,
    entries: u32,
}

impl<const N: usize> MappedArray<N> {
    /// Maps the map `name`.
    pub(super) fn new(name: &'static str, map: &RawMap) -> Result<Self> {
        let stride = map.info().value_size as usize;
        if stride != N * WORD {
            let problem = format!("a value of {name} has {stride} bytes, not {}", N * WORD);
            return Err(DatapathError::Object { program: "director", problem });
        }
        let entries = map.info().max_entries;
        let words =
            Mapped::new(map, 0, entries as usize * N).map_err(kernel(format!("map {name} into memory")))?;
        Ok(Self { name, words, entries })
    }

    /// Number of elements.
    pub(super) fn entries(&self) -> u32 {
        self.entries
    }

    /// The words of an element, `None` if there is no such element.
    ///
    /// Each is whole; that they belong together is the caller's to know, as the one writer.
    pub(super) fn get(&self, index: u32) -> Option<[u64; N]> {
        let mut words = [0; N];
        for (place, word) in words.iter_mut().enumerate() {
            *word = self.words.load(index as usize * N + place)?;
        }
        Some(words)
    }

    /// One word of an element.
    pub(super) fn word(&self, index: u32, place: usize) -> Result<u64> {
        self.words.load(index as usize * N + place).ok_or_else(|| self.outside(index))
    }

    /// Stores one word of an element.
    pub(super) fn set_word(&self, index: u32, place: usize, value: u64) -> Result<()> {
        if self.words.store(index as usize * N + place, value) { Ok(()) } else { Err(self.outside(index)) }
    }

    fn outside(&self, index: u32) -> DatapathError {
        DatapathError::OutOfRange { map: self.name, index, entries: self.entries }
    }
}
