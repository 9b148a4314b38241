//! What becomes of an exchange of maps that a crash or a failure cut short.
//!
//! The directories say how far it came, and the ids of the programs on the interfaces whether packets use the new maps.
//! Nothing else is asked, so that any agent can mend what any other left.

use super::error::{Result, kernel};
use super::flows::Copier;
use super::pins::{self, Pins};
use super::rebuild::{self, FlowTables, PROGRAM};
use super::running::{self, Running};
use super::sys;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

/// What was done about an exchange that was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// There was none.
    Nothing,
    /// The new maps were thrown away: no packet used them.
    TakenBack,
    /// It was finished: the new maps were in use.
    Finished,
}

/// Finishes an exchange or takes it back.
pub(super) fn recover(pins: &Pins) -> Result<Recovery> {
    if pins.done().exists() {
        rebuild::finish(pins, &mut |_| {})?;
        return Ok(Recovery::Finished);
    }
    let next = pins.next();
    if !next.exists() {
        return Ok(Recovery::Nothing);
    }
    let links = running::all(pins)?;
    let Some(program) = program_in_use(&next, &links)? else {
        rebuild::discard(pins)?;
        return Ok(Recovery::TakenBack);
    };
    let maps = rebuild::open_maps(pins, &next)?;
    rebuild::hold(&maps)?;
    links.iter().try_for_each(|link| link.run(program.as_fd()))?;
    let tables = FlowTables::open(pins, &next)?;
    let mut copier = tables.as_ref().map(|tables| Copier::new(&tables.old, &tables.new));
    rebuild::catch_up(copier.as_mut(), &maps)?;
    maps.write_hold(0)?;
    rebuild::commit(pins)?;
    rebuild::finish(pins, &mut |_| {})?;
    Ok(Recovery::Finished)
}

/// The program with the new maps, if an interface runs it. It is pinned when all of them are there.
fn program_in_use(next: &Path, links: &[Running]) -> Result<Option<OwnedFd>> {
    let Some(program) = pins::open(&next.join(PROGRAM))? else { return Ok(None) };
    let id = sys::id_of(program.as_fd()).map_err(kernel("look at the program with the new maps"))?;
    Ok(links.iter().any(|link| link.program == id).then_some(program))
}
