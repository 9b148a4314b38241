//! The decapsulation program on a server: no agent, only pinned links and pinned maps below `decap/`.

use super::attach::{self, Attached};
use super::counters;
use super::error::{DatapathError, Result, kernel};
use super::links;
use super::map::{PerCpu, Table};
use super::maps::possible_cpus;
use super::object::{DECAP, LoadOptions};
use super::pins::{self, Pins};
use super::sys::{self, RawMap};
use crate::config::model::Mode;
use lb_common::address::Address;
use lb_common::counters::Count;
use lb_common::verdict::Reason;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

/// What the decapsulation program does on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decap {
    /// The interfaces that it is attached to, by name.
    pub attachments: Vec<(String, Attached)>,
    /// The VIPs whose packets it takes out of their tunnels.
    pub vips: Vec<IpAddr>,
    /// The addresses of this host that a tunnel may end at.
    pub addresses: Vec<IpAddr>,
    /// Its counters: the reason, whether the sender was answered, packets and bytes.
    pub reasons: Vec<(Reason, bool, Count)>,
}

/// Attaches the program to the interface `name` and tells it `vips`, beside those it knows, and this host's addresses.
///
/// # Errors
///
/// As [`super::Datapath::open`] and [`super::Datapath::attach`].
pub fn attach(bpffs: &Path, name: &str, mode: Mode, vips: &[IpAddr]) -> Result<Attached> {
    let pins = pins_below(bpffs);
    let (program, maps) = load(&pins, bpffs)?;
    maps.tell(vips.iter().copied())?;
    attach::attach(&pins, program.as_fd(), name, mode)
}

/// Takes the program off the interface `name`, whatever it was called when it was attached; with the last one, its maps are unpinned and the VIPs forgotten.
///
/// # Errors
///
/// [`DatapathError::NotAttached`] if it is not attached there.
pub fn detach(bpffs: &Path, name: &str) -> Result<()> {
    let pins = pins_below(bpffs);
    if pins.exist()
        && !pins.link(name).exists()
        && let Some(ifindex) = attach::index_of(name)?
    {
        links::follow_rename(&pins, name, ifindex)?;
    }
    let detached = attach::detach(&pins, name);
    if pins.exist() && pins.link_names()?.is_empty() {
        pins.remove()?;
    }
    detached
}

/// What [`keep`] did.
#[derive(Debug, Default)]
pub struct Kept {
    /// The interfaces that it attached the program to.
    pub attached: Vec<(String, Attached)>,
    /// Why it could not attach it to the others.
    pub failed: Vec<DatapathError>,
    /// The interfaces that are gone, whose links it removed.
    pub removed: Vec<String>,
}

/// Attaches the program to those of `interfaces` that exist and lack it, or `again` to all that exist, with this
/// version's program in the place of the other one. Where it is attached, its addresses follow this host's, and `vips`
/// are added to those it knows.
///
/// # Errors
///
/// As [`attach`], if it concerns more than one interface.
pub fn keep(
    bpffs: &Path,
    interfaces: &BTreeMap<String, Mode>,
    vips: &BTreeSet<IpAddr>,
    again: bool,
) -> Result<Kept> {
    let pins = pins_below(bpffs);
    let mut kept = Kept { removed: attach::remove_defunct(&pins)?, ..Kept::default() };
    let now = attach::attachments(&pins)?;
    // Without a table the links that are there lead nowhere: as if nothing were attached.
    let known = Maps::open_pinned(&pins)?;
    let now = if again || known.is_none() { &[] } else { now.as_slice() };
    let mut missing = Vec::new();
    for (name, mode) in interfaces {
        missing.extend(attach::is_missing(now, name, *mode)?.then_some((name, *mode)));
    }
    if missing.is_empty() {
        if let Some(maps) = known {
            maps.tell(vips.iter().copied())?;
        }
        return Ok(kept);
    }
    let (program, maps) = load(&pins, bpffs)?;
    maps.tell(vips.iter().copied())?;
    for (name, mode) in missing {
        match attach::attach(&pins, program.as_fd(), name, mode) {
            Ok(attached) => kept.attached.push((name.clone(), attached)),
            Err(error) => kept.failed.push(error),
        }
    }
    Ok(kept)
}

/// Loads the program with the maps that are pinned, or pins new ones.
fn load(pins: &Pins, bpffs: &Path) -> Result<(OwnedFd, Maps)> {
    pins.create_within(bpffs)?;
    let mut loaded = DECAP.load(&LoadOptions { pins: Some(&pins.maps()), ..LoadOptions::default() })?;
    let maps = Maps::open(|name| loaded.maps.remove(name).ok_or_else(|| missing(name)))?;
    Ok((loaded.program, maps))
}

/// What is pinned; `None` if the program was never attached, or has been detached.
///
/// # Errors
///
/// [`DatapathError::NotPermitted`] without privileges, [`DatapathError::Kernel`] if a pin cannot be read.
pub fn list(bpffs: &Path) -> Result<Option<Decap>> {
    let pins = pins_below(bpffs);
    let Some(maps) = Maps::open_pinned(&pins)? else { return Ok(None) };
    Ok(Some(Decap {
        attachments: [attach::attachments(&pins)?, links::renamed(&pins)?].concat(),
        vips: addresses(&maps.vips)?,
        addresses: addresses(&maps.addresses)?,
        reasons: maps.reasons()?,
    }))
}

/// The program without pins, for the tests, which run it on one packet at a time.
#[derive(Debug)]
pub struct Unpinned {
    program: OwnedFd,
    maps: Maps,
}

impl Unpinned {
    /// Loads the program as on a host with `addresses` that was told about `vips`. It cannot be attached.
    ///
    /// # Errors
    ///
    /// As [`super::Datapath::open`].
    pub fn open(addresses: &[IpAddr], vips: &[IpAddr]) -> Result<Self> {
        let mut loaded = DECAP.load(&LoadOptions::default())?;
        let maps = Maps::open(|name| loaded.maps.remove(name).ok_or_else(|| missing(name)))?;
        maps.set_addresses(&addresses.iter().copied().collect())?;
        maps.add_vips(vips.iter().copied())?;
        Ok(Self { program: loaded.program, maps })
    }

    /// Runs the program on `packet`, a whole frame: the XDP action, and the frame as the program left it.
    ///
    /// # Errors
    ///
    /// [`DatapathError::Kernel`] if the kernel cannot run it, as when `packet` is shorter than an Ethernet header.
    pub fn test_run(&self, packet: &[u8]) -> Result<(u32, Vec<u8>)> {
        sys::test_run(self.program.as_fd(), packet, None)
            .map_err(kernel(format!("run the program on {} bytes", packet.len())))
    }

    /// Its counters: the reason, whether the sender was answered, packets and bytes.
    ///
    /// # Errors
    ///
    /// [`DatapathError::Kernel`] if the map cannot be read.
    pub fn reasons(&self) -> Result<Vec<(Reason, bool, Count)>> {
        self.maps.reasons()
    }
}

fn pins_below(bpffs: &Path) -> Pins {
    Pins::at(&bpffs.join("decap"))
}

fn missing(name: &str) -> DatapathError {
    DatapathError::Object { program: "decap", problem: format!("it has no map {name}") }
}

/// The program's maps.
#[derive(Debug)]
struct Maps {
    vips: Table<Address, u32>,
    addresses: Table<Address, u32>,
    counters: PerCpu<Count>,
}

impl Maps {
    fn open(mut open: impl FnMut(&'static str) -> Result<OwnedFd>) -> Result<Self> {
        let cpus = possible_cpus()?;
        let mut map = |name, cpus| -> Result<RawMap> {
            RawMap::new(open(name)?, cpus).map_err(kernel(format!("look at {name}")))
        };
        Ok(Self {
            vips: Table::new("DECAP_VIPS", map("DECAP_VIPS", None)?),
            addresses: Table::new("DECAP_ADDRESSES", map("DECAP_ADDRESSES", None)?),
            counters: PerCpu::new("DECAP_COUNTERS", map("DECAP_COUNTERS", Some(cpus))?, cpus),
        })
    }

    /// The maps that are pinned, if any are.
    fn open_pinned(pins: &Pins) -> Result<Option<Self>> {
        let directory = pins.maps();
        if pins::open(&directory.join("DECAP_VIPS"))?.is_none() {
            return Ok(None);
        }
        Self::open(|name| pins::open(&directory.join(name))?.ok_or_else(|| missing(name))).map(Some)
    }

    /// Tells the program this host's addresses, and `vips` beside those that it knows.
    fn tell(&self, vips: impl Iterator<Item = IpAddr>) -> Result<()> {
        self.set_addresses(&sys::local_addresses().map_err(kernel("list the addresses of this host"))?)?;
        self.add_vips(vips)
    }

    /// Makes `DECAP_ADDRESSES` equal to `local`: what is new first, then without what is gone.
    fn set_addresses(&self, local: &BTreeSet<IpAddr>) -> Result<()> {
        let known: BTreeSet<_> = addresses(&self.addresses)?.into_iter().collect();
        local.difference(&known).try_for_each(|address| self.addresses.set(&Address::from(*address), &1))?;
        known.difference(local).try_for_each(|gone| self.addresses.remove(&Address::from(*gone)).map(drop))
    }

    fn add_vips(&self, vips: impl Iterator<Item = IpAddr>) -> Result<()> {
        let known: BTreeSet<_> = addresses(&self.vips)?.into_iter().collect();
        let mut news = vips.filter(|vip| !known.contains(vip));
        news.try_for_each(|vip| self.vips.set(&Address::from(vip), &1))
    }

    fn reasons(&self) -> Result<Vec<(Reason, bool, Count)>> {
        counters::reasons(&self.counters)
    }
}

fn addresses(table: &Table<Address, u32>) -> Result<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    table.for_each(|address, _| {
        addresses.push(IpAddr::from(*address));
        Ok(())
    })?;
    addresses.sort_unstable();
    Ok(addresses)
}
