//! Maps exchanged for others while traffic flows: the order of the steps, any of which may be the last before a crash.
//!
//! The new maps are made in a directory of their own and filled; then the program that uses them takes the old one's
//! place on every interface; then what the old one wrote meanwhile is brought over; then the pins are exchanged.
//! From the moment before the new program runs until all is brought over, packets of flows that are not found wait
//! (docs/decisions/0005-exchanging-maps.md). How a crash is mended is in [`super::recovery`].

use super::clock;
use super::copy::{self, Kind};
use super::error::{DatapathError, Result, kernel};
use super::flows::{Copier, FlowTable};
use super::maps::{Maps, possible_cpus};
use super::object::{DIRECTOR, LoadOptions, Loaded};
use super::pins::{self, Pins};
use super::running::{self, Running};
use super::schema;
use super::sys::{self, RawMap};
use lb_common::maps::MAX_HOLD_MS;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// A step of an exchange. A crash before any of them leaves what the next agent can finish, or take back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// New maps are made and the program is loaded with them.
    Make,
    /// They are filled, before a packet uses them.
    Copy,
    /// From now on packets of flows that are not found wait.
    Hold,
    /// The new program takes the old one's place on an interface.
    Switch,
    /// What the old program wrote meanwhile is brought over.
    CatchUp,
    /// Nothing waits any more.
    Release,
    /// The exchange will be finished, whatever happens.
    Commit,
    /// The pin of a new map takes the place of an old one's.
    Rename,
    /// The new maps' directory goes.
    Clean,
}

/// What an exchange of maps came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Maps that were made anew; 0 if nothing had to be done.
    pub maps: usize,
    /// Flows that were copied before the programs changed places.
    pub flows: u64,
    /// Flows that were brought over after that.
    pub late: u64,
    /// How long packets of unknown flows waited.
    pub hold: Duration,
}

/// The name of the new program's pin beside the new maps: who finds it on an interface knows that they are in use.
pub(super) const PROGRAM: &str = "PROGRAM";
/// Passes over the flows before the programs change places: each leaves less to the last one.
const PASSES: u32 = 4;
/// A pass that found no more than this is the last.
const FEW: u64 = 256;

/// Which maps are made anew.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) pins: &'a Pins,
    pub(super) debug_log: bool,
    /// Their names and numbers of entries.
    pub(super) anew: Vec<(&'static str, u32)>,
    /// Whether the old maps are of an older schema: then their counters mean something else, and counting begins anew.
    pub(super) is_older: bool,
    /// The program with the old maps, which comes back if the new ones cannot be used; `None` if no interface runs one.
    pub(super) old: Option<BorrowedFd<'a>>,
}

/// Is told each step before it is done.
pub(super) type Watch<'a> = &'a mut dyn FnMut(Step);

/// The program with the new maps; whether the pins could be exchanged is the last one of the three.
pub(super) type Outcome = (Loaded, Rebuilt, Result<()>);

impl Plan<'_> {
    /// Exchanges the maps. On an error before the exchange of pins everything is as it was, or the new directory is still
    /// there.
    pub(super) fn run(&self, watch: Watch<'_>) -> Result<Outcome> {
        watch(Step::Make);
        discard(self.pins)?;
        let loaded = self.make().inspect_err(|_| drop(discard(self.pins)))?;
        let links = running::all(self.pins).inspect_err(|_| drop(discard(self.pins)))?;
        let rebuilt = match self.bring_over(&loaded, &links, watch) {
            Ok(rebuilt) => rebuilt,
            Err(error) => {
                // What cannot be taken back is there to be seen.
                self.take_back(&links).ok();
                return Err(error);
            }
        };
        watch(Step::Commit);
        let settled = commit(self.pins).and_then(|()| finish(self.pins, watch));
        Ok((loaded, rebuilt, settled))
    }

    fn make(&self) -> Result<Loaded> {
        let (maps, next) = (self.pins.maps(), self.pins.next());
        pins::make_directory(&next)?;
        let names: Vec<&'static str> = self.anew.iter().map(|(name, _)| *name).collect();
        let loaded = DIRECTOR.load(&LoadOptions {
            pins: Some(&maps),
            anew: Some((&next, &names)),
            debug_log: self.debug_log,
            entries: &self.anew,
        })?;
        sys::pin(loaded.program.as_fd(), &next.join(PROGRAM)).map_err(kernel("pin the new program"))?;
        Ok(loaded)
    }

    fn bring_over(&self, loaded: &Loaded, links: &[Running], watch: Watch<'_>) -> Result<Rebuilt> {
        let maps = open_maps(self.pins, &self.pins.next())?;
        let tables = FlowTables::open(self.pins, &self.pins.next())?;
        let mut copier = tables.as_ref().map(|tables| Copier::new(&tables.old, &tables.new));
        watch(Step::Copy);
        let flows = self.copy(copier.as_mut())?;
        watch(Step::Hold);
        let held = Instant::now();
        hold(&maps)?;
        for link in links {
            watch(Step::Switch);
            link.run(loaded.program.as_fd())?;
        }
        watch(Step::CatchUp);
        let late = catch_up(copier.as_mut(), &maps)?;
        watch(Step::Release);
        maps.write_hold(0)?;
        Ok(Rebuilt { maps: self.anew.len(), flows, late, hold: held.elapsed() })
    }

    /// Fills the new maps. What programs count in comes last: what is counted after that is lost.
    fn copy(&self, mut copier: Option<&mut Copier<'_>>) -> Result<u64> {
        self.copy_kind(&[Kind::Words, Kind::Elements, Kind::Settings, Kind::Index])?;
        let mut flows = 0;
        for _ in 0..PASSES {
            let news = copier.as_mut().map_or(Ok(0), |copier| copier.copy())?;
            flows += news;
            if news <= FEW {
                break;
            }
        }
        self.copy_kind(&[Kind::Counts])?;
        Ok(flows)
    }

    fn copy_kind(&self, kinds: &[Kind]) -> Result<()> {
        for (name, _) in &self.anew {
            let kind = copy::kind_of(name).ok_or_else(|| never_copied(name))?;
            if !kinds.contains(&kind) {
                continue;
            }
            let (old, new) = (|| raw(&self.pins.maps(), name), raw(&self.pins.next(), name)?);
            match kind {
                Kind::Words => copy::words(name, &old()?, &new)?,
                Kind::Counts if self.is_older => {}
                Kind::Elements | Kind::Counts => copy::elements(name, &old()?, &new)?,
                Kind::Settings => schema::widen_settings(&old()?, &new)?,
                Kind::Index => schema::fill_index(raw(&self.pins.maps(), "SERVICE_KEYS")?, &new)?,
                Kind::Flows => {}
            }
        }
        Ok(())
    }

    /// Gives every interface the old program back, and the old maps what the new program wrote.
    fn take_back(&self, links: &[Running]) -> Result<()> {
        if let Some(old) = self.old {
            links.iter().try_for_each(|link| link.run(old))?;
        }
        clock::grace()?;
        if let Some(tables) = FlowTables::open(self.pins, &self.pins.next())? {
            Copier::new(&tables.new, &tables.old).merge(|| Ok(()))?;
        }
        open_maps(self.pins, &self.pins.next())?.write_hold(0)?;
        discard(self.pins)
    }
}

/// Loads the program with the maps that are pinned in `maps`, as `options` say. An index of services that was lost there is
/// made from the keys before a packet asks it.
pub(super) fn load(maps: &Path, options: &LoadOptions) -> Result<Loaded> {
    let lost = schema::is_index_lost(maps)?;
    let loaded = DIRECTOR.load(options)?;
    if lost {
        schema::fill_index(raw(maps, "SERVICE_KEYS")?, &raw(maps, schema::INDEX)?)?;
    }
    Ok(loaded)
}

/// Has packets of unknown flows wait, for no longer than [`MAX_HOLD_MS`] from now.
pub(super) fn hold(maps: &Maps) -> Result<()> {
    // 0 is no hold.
    maps.write_hold(clock::now_ms()?.wrapping_add(MAX_HOLD_MS).max(1))
}

/// Waits for packets in the old program, then brings over the flows that it wrote, however long that takes.
pub(super) fn catch_up(copier: Option<&mut Copier<'_>>, maps: &Maps) -> Result<u64> {
    clock::grace()?;
    copier.map_or(Ok(0), |copier| copier.merge(|| hold(maps)))
}

/// `CONNECTIONS`, if it is one of those made anew: as it is pinned, and the one that takes its place.
pub(super) struct FlowTables {
    pub(super) old: FlowTable,
    pub(super) new: FlowTable,
}

impl FlowTables {
    pub(super) fn open(pins: &Pins, next: &Path) -> Result<Option<Self>> {
        const NAME: &str = "CONNECTIONS";
        if pins::open(&next.join(NAME))?.is_none() {
            return Ok(None);
        }
        let table = |directory: &Path| Ok(FlowTable::new(NAME, raw(directory, NAME)?));
        Ok(Some(Self { old: table(&pins.maps())?, new: table(next)? }))
    }
}

/// The maps as the new program has them: those in `next`, and the others where they always are.
pub(super) fn open_maps(pins: &Pins, next: &Path) -> Result<Maps> {
    Maps::open(|name| match pins::open(&next.join(name))? {
        Some(map) => Ok(map),
        None => pins::open(&pins.maps().join(name))?.ok_or_else(|| missing(&pins.maps(), name)),
    })
}

/// A map by its pin.
pub(super) fn raw(directory: &Path, name: &str) -> Result<RawMap> {
    let fd = pins::open(&directory.join(name))?.ok_or_else(|| missing(directory, name))?;
    let map = RawMap::new(fd, None).map_err(kernel(format!("look at {name}")))?;
    Ok(map.on_cpus(possible_cpus()?))
}

fn missing(directory: &Path, name: &str) -> DatapathError {
    let doing = format!("open {}", directory.join(name).display());
    kernel(doing)(std::io::ErrorKind::NotFound.into())
}

fn never_copied(name: &str) -> DatapathError {
    let problem = format!("nobody knows how to copy its map {name}");
    DatapathError::Object { program: "director", problem }
}

/// Says, by one rename, that the new maps are the ones to keep.
pub(super) fn commit(pins: &Pins) -> Result<()> {
    pins::rename(&pins.next(), &pins.done())
}

/// Exchanges the pins, as far as that is not done yet. What nothing uses any more is freed by the kernel.
pub(super) fn finish(pins: &Pins, watch: Watch<'_>) -> Result<()> {
    let done = pins.done();
    for name in pins::names_in(&done)? {
        watch(Step::Rename);
        let (from, to) = (done.join(&name), pins.maps().join(&name));
        if name == PROGRAM {
            pins::remove(&from)?;
        } else {
            pins::rename(&from, &to)?;
        }
    }
    watch(Step::Clean);
    pins::remove_directory(&done)
}

/// Throws new maps away that no packet uses.
pub(super) fn discard(pins: &Pins) -> Result<()> {
    let next = pins.next();
    if next.exists() { pins::remove_directory(&next) } else { Ok(()) }
}
