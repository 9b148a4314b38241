//! Tables of other sizes, and programs of another version, put in place while traffic flows.

use super::capacities::Capacities;
use super::error::{DatapathError, Result, kernel};
use super::lock;
use super::object::{LoadOptions, Loaded};
use super::pins::{self, Pins};
use super::rebuild::{self, Plan, Rebuilt, Step, raw};
use super::recovery;
use super::running::{self, Running};
use super::schema;
use super::sys;
use super::{Datapath, clock};
use lb_common::index;
use lb_common::maps::SCHEMA_VERSION;
use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

impl Datapath {
    /// Gives the tables room for `capacities`; the maps of another size are exchanged. Nothing breaks meanwhile.
    ///
    /// What a smaller table does not have any more must not be in use. `watch` is told each step before it is done. See
    /// [`Datapath::is_settled`] for pins that could not be exchanged.
    ///
    /// # Errors
    ///
    /// [`DatapathError::Kernel`] without the memory for it, or [`DatapathError::Verifier`]: then everything is as it was,
    /// but for what [`Datapath::is_settled`] tells.
    pub fn resize(&mut self, capacities: &Capacities, watch: &mut dyn FnMut(Step)) -> Result<Rebuilt> {
        self.settle()?;
        let pins = self.pins()?;
        let entries = entries(pins, capacities)?;
        let anew = capacities.differing(|name| entries.get(name).copied());
        if anew.is_empty() {
            return Ok(Rebuilt::default());
        }
        self.maps.retire_beyond(capacities)?;
        let run =
            Plan { pins, debug_log: self.debug_log, anew, is_older: false, old: Some(self.program.as_fd()) }
                .run(watch);
        self.unsettled = pins.next().exists() || pins.done().exists();
        let (loaded, rebuilt, settled) = run?;
        self.use_instead(loaded)?;
        if settled.is_err() {
            // What it was is told when it is tried again and fails again.
            self.settle().ok();
        }
        Ok(rebuilt)
    }

    /// Whether no exchange of maps is left halfway: in the pins, or between them and this process.
    pub const fn is_settled(&self) -> bool {
        !self.unsettled
    }

    /// Ends an exchange of maps that was left halfway, and uses the tables that came of it, which may be others than
    /// before. Does nothing where there is none.
    ///
    /// # Errors
    ///
    /// As [`Datapath::open`]; it has to be called again.
    pub fn settle(&mut self) -> Result<()> {
        if self.unsettled {
            recovery::recover(self.pins()?)?;
            self.adopt()?;
            self.unsettled = false;
        }
        Ok(())
    }

    /// Loads the program with the maps that are pinned now, and puts it on every interface.
    fn adopt(&mut self) -> Result<()> {
        let maps = self.pins()?.maps();
        let options = LoadOptions { pins: Some(&maps), debug_log: self.debug_log, ..LoadOptions::default() };
        self.use_instead(rebuild::load(&maps, &options)?)?;
        running::all(self.pins()?)?.iter().try_for_each(|link| link.run(self.program.as_fd()))
    }

    fn use_instead(&mut self, loaded: Loaded) -> Result<()> {
        let Self { program, maps, held, log, .. } = Self::with(loaded, None)?;
        (self.program, self.maps, self.held) = (program, maps, held);
        self.log = log.or_else(|| self.log.take());
        Ok(())
    }
}

/// How many entries the pinned maps have.
fn entries(pins: &Pins, capacities: &Capacities) -> Result<BTreeMap<&'static str, u32>> {
    let maps = pins.maps();
    let entry = |(name, _): (&'static str, u32)| Ok((name, raw(&maps, name)?.info().max_entries));
    capacities.entries().into_iter().map(entry).collect()
}

/// What an upgrade came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgraded {
    /// The interfaces run this version's program on tables of its schema already.
    Current,
    /// This version's program took the place of another on these interfaces.
    Replaced(Vec<String>),
    /// The same, and the tables are of this version's schema now.
    Migrated {
        /// The schema that they had.
        from: u32,
        /// The interfaces.
        interfaces: Vec<String>,
        /// What the exchange of maps came to.
        rebuilt: Rebuilt,
    },
}

/// Puts this version's program in the place of the one that is attached; with `migrate`, its tables as well where they
/// have an older schema. No agent may run.
///
/// # Errors
///
/// [`DatapathError::NothingPinned`], [`DatapathError::InUse`] while an agent runs, [`DatapathError::Schema`] without
/// `migrate`, [`DatapathError::UnknownSchema`] with it, or as [`Datapath::open`].
pub fn upgrade(bpffs: &Path, migrate: bool) -> Result<Upgraded> {
    let pins = Pins::at(bpffs);
    if pins::schema(&pins.maps())?.is_none() {
        return Err(DatapathError::NothingPinned { directory: bpffs.to_owned() });
    }
    let _lock = lock::take(bpffs)?;
    recovery::recover(&pins)?;
    match pins::schema(&pins.maps())? {
        Some(from) if migrate && ![0, SCHEMA_VERSION].contains(&from) => migrate_from(&pins, from),
        _ => replace(&pins),
    }
}

fn replace(pins: &Pins) -> Result<Upgraded> {
    let maps = pins.maps();
    pins::check_schema(&maps)?;
    let loaded = rebuild::load(&maps, &LoadOptions { pins: Some(&maps), ..LoadOptions::default() })?;
    let own = tag(loaded.program.as_fd())?;
    let mut replaced = Vec::new();
    for link in running::all(pins)? {
        if tag(program_of(&link)?.as_fd())? != own {
            link.run(loaded.program.as_fd())?;
            replaced.push(link.name);
        }
    }
    if replaced.is_empty() {
        return Ok(Upgraded::Current);
    }
    clock::grace()?;
    Ok(Upgraded::Replaced(replaced))
}

/// The program that a link runs. For a command of root, not for an agent.
fn program_of(link: &Running) -> Result<OwnedFd> {
    sys::program_by_id(link.program).map_err(kernel(format!("look at the program on {}", link.name)))
}

fn tag(program: BorrowedFd<'_>) -> Result<[u8; 8]> {
    sys::tag_of(program).map_err(kernel("look at a program"))
}

fn migrate_from(pins: &Pins, from: u32) -> Result<Upgraded> {
    let maps = pins.maps();
    let Some(changed) = schema::changed_since(from) else {
        let known = schema::KNOWN.into_iter().chain([SCHEMA_VERSION]).collect();
        return Err(DatapathError::UnknownSchema { directory: maps, pinned: from, known });
    };
    let entries = |name: &&'static str| {
        // The older version did not have the index, whose size is always the same.
        Ok((*name, if *name == schema::INDEX { index::PLACES } else { raw(&maps, name)?.info().max_entries }))
    };
    let anew = changed.iter().map(entries).collect::<Result<Vec<_>>>()?;
    let links = running::all(pins)?;
    let old = links.first().map(program_of).transpose()?;
    let old = old.as_ref().map(OwnedFd::as_fd);
    let (_loaded, rebuilt, settled) =
        Plan { pins, debug_log: false, anew, is_older: true, old }.run(&mut |_| {})?;
    settled?;
    let interfaces = links.into_iter().map(|link| link.name).collect();
    Ok(Upgraded::Migrated { from, interfaces, rebuilt })
}
