//! What becomes of an exchange of maps that a crash cut short.
//!
//! The directories say how far it came, and the programs on the interfaces which maps packets use. Nothing else is
//! asked, so that any agent can mend what any other left.

use super::error::{Result, kernel};
use super::flows::Copier;
use super::pins::{self, Pins};
use super::rebuild::{self, FlowTables};
use super::running;
use super::sys::{self, RawMap};
use std::os::fd::AsFd as _;
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
    let maps = links.iter().map(|link| Ok((link.id, link.maps()?))).collect::<Result<Vec<_>>>()?;
    let Some(program) = user_of(&ids_in(&next)?, &maps) else {
        rebuild::discard(pins)?;
        return Ok(Recovery::TakenBack);
    };
    let program = sys::program_by_id(program).map_err(kernel("open the program that uses the new maps"))?;
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

/// The kernel's ids of the maps that are pinned in `directory`.
fn ids_in(directory: &Path) -> Result<Vec<u32>> {
    let mut ids = Vec::new();
    for name in pins::names_in(directory)? {
        let path = directory.join(&name);
        if let Some(fd) = pins::open(&path)? {
            let map = RawMap::new(fd, None).map_err(kernel(format!("look at {}", path.display())))?;
            ids.push(map.info().id);
        }
    }
    Ok(ids)
}

/// A program on an interface that uses one of the `new` maps; `attached` are the programs' ids with their maps'.
///
/// The program is loaded when all new maps are there, so whoever uses one uses all of them.
fn user_of(new: &[u32], attached: &[(u32, Vec<u32>)]) -> Option<u32> {
    attached.iter().find(|(_, maps)| maps.iter().any(|map| new.contains(map))).map(|(program, _)| *program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_maps_are_kept_if_one_interface_uses_them() {
        let (old, new) = ((7, vec![1, 2, 3]), (8, vec![1, 20, 30]));
        let rows = [
            ("no interface", vec![], None),
            ("before the switch", vec![old.clone(), old.clone()], None),
            ("between two interfaces", vec![old, new.clone()], Some(8)),
            ("after the switch", vec![new.clone(), new], Some(8)),
        ];
        for (name, attached, want) in rows {
            assert_eq!(user_of(&[20, 30], &attached), want, "{name}");
        }
        assert_eq!(user_of(&[], &[(8, vec![1])]), None, "nothing was made yet");
    }
}
