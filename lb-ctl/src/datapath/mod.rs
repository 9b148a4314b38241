//! The datapath: the XDP programs in the kernel, their maps and their links. The only user of aya.
//!
//! Plain data in, plain data out: [`tables::Kernel`] is read and [`tables::Write`]s are made, in the order given. What
//! they should be is for the agent to say. Nothing is remembered here that the kernel can be asked for, and everything
//! that should outlive the agent is pinned: maps at `maps/NAME`, links at `links/INTERFACE`.

mod apply;
mod attach;
mod btf;
mod capacities;
mod clock;
mod connections;
mod copy;
mod counters;
mod debug_log;
pub mod decap;
mod error;
mod events;
mod flows;
mod lanes;
mod links;
mod lock;
mod map;
mod mapped;
mod maps;
mod object;
mod pinned;
mod pins;
mod reader;
mod rebuild;
mod recovery;
mod redirects;
mod resize;
mod running;
mod schema;
mod snapshot;
mod sweep;
mod sys;
pub mod tables;
mod unpinned;
mod verifier;
mod xdp_mode;

pub use attach::{AttachMode, Attached};
pub use clock::{grace, now_ms, processor_time, uptime_ms};
pub use counters::Counted;
pub use debug_log::DebugLog;
pub use error::{DatapathError, Result};
pub use events::Events;
pub use links::PinnedLink;
pub use pinned::{Pinned, read_pins};
pub use pins::link_pin;
pub use reader::Reader;
pub use rebuild::{Rebuilt, Step};
pub use recovery::Recovery;
pub use redirects::Unsent;
pub use resize::{Upgraded, upgrade};
pub use sweep::{Load, SweepReport, together};
pub use unpinned::Runner;

use crate::config::model::Mode;
use crate::fault;
use lb_common::counters::Settings;
use lb_common::maps::SCHEMA_VERSION;
use lock::Lock;
use maps::Maps;
use object::{LoadOptions, Loaded};
use pins::Pins;
use redirects::Redirects;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use tables::{Capacities, Write};

/// How the datapath is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// Directory on a BPF file system for the pins.
    pub bpffs: PathBuf,
    /// Whether the program logs single packets.
    pub debug_log: bool,
}

/// The director's program, loaded, with its maps.
#[derive(Debug)]
pub struct Datapath {
    program: OwnedFd,
    maps: Arc<Maps>,
    /// The maps by name, so that a pin that somebody removed can be made again.
    held: BTreeMap<&'static str, OwnedFd>,
    pins: Option<Pins>,
    log: Option<DebugLog>,
    redirects: Option<Redirects>,
    debug_log: bool,
    recovery: Recovery,
    /// An exchange of maps was left halfway.
    unsettled: bool,
    _lock: Option<Lock>,
}

impl Datapath {
    /// Loads the program and adopts the maps that are pinned, or makes and pins them. Attaches nothing.
    ///
    /// # Errors
    ///
    /// [`DatapathError::InUse`] while another process has it open, [`DatapathError::NoBpffs`], [`DatapathError::Schema`] or [`DatapathError::Shape`] if the pins cannot be used,
    /// [`DatapathError::Verifier`] if the kernel refuses the program, [`DatapathError::NotPermitted`] without
    /// privileges.
    pub fn open(options: &OpenOptions) -> Result<Self> {
        Self::open_sized(options, &Capacities::default())
    }

    /// As [`Datapath::open`]; maps that are made have room for `capacities`. Those that are adopted keep their sizes,
    /// and an exchange of maps that was cut short is finished or taken back before.
    ///
    /// # Errors
    ///
    /// As [`Datapath::open`].
    pub fn open_sized(options: &OpenOptions, capacities: &Capacities) -> Result<Self> {
        let pins = Pins::at(&options.bpffs);
        pins.create()?;
        let lock = lock::take(&options.bpffs)?;
        let recovery = recovery::recover(&pins)?;
        let directory = pins.maps();
        pins::check_schema(&directory)?;
        let (debug_log, entries) = (options.debug_log, &capacities.entries());
        let load = LoadOptions { pins: Some(&directory), anew: None, debug_log, entries };
        fault::before("the pinned maps").map_err(error::kernel("pin the maps"))?;
        let opened = Self::with(rebuild::load(&directory, &load)?, Some(pins))?;
        fault::after("the pinned maps");
        let datapath = Self { _lock: Some(lock), debug_log, recovery, ..opened };
        let settings = datapath.maps.settings();
        if settings.schema == 0 {
            datapath.maps.write_settings(Settings { schema: SCHEMA_VERSION, ..settings })?;
        }
        Ok(datapath)
    }

    fn with(loaded: Loaded, pins: Option<Pins>) -> Result<Self> {
        let Loaded { program, mut maps, log } = loaded;
        let held = maps.iter().map(|(name, map)| Ok((*name, map.try_clone()?))).collect::<io::Result<_>>();
        let held = held.map_err(error::kernel("hold the maps"))?;
        let maps = Maps::open(|name| {
            let missing =
                || DatapathError::Object { program: "director", problem: format!("it has no map {name}") };
            maps.remove(name).ok_or_else(missing)
        })?;
        let (maps, recovery) = (Arc::new(maps), Recovery::Nothing);
        let (debug_log, unsettled) = (false, false);
        Ok(Self {
            program,
            maps,
            held,
            pins,
            log,
            redirects: None,
            debug_log,
            recovery,
            unsettled,
            _lock: None,
        })
    }

    /// What became of an exchange of maps that an earlier agent did not finish.
    pub const fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Notes that an agent is there, `now` in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`DatapathError::OutOfRange`] never, as the settings are there.
    pub fn beat(&self, now: u64) -> Result<()> {
        self.maps.write_heartbeat(now)
    }

    /// Attaches the program to an interface; where it is attached already, this program takes the other one's place
    /// without a packet seeing neither.
    ///
    /// # Errors
    ///
    /// [`DatapathError::UnknownInterface`], [`DatapathError::Occupied`], [`DatapathError::NoNativeSupport`],
    /// [`DatapathError::NativeRefused`], or what else the kernel answers.
    pub fn attach(&mut self, name: &str, mode: Mode) -> Result<Attached> {
        attach::attach(self.pins()?, self.program.as_fd(), name, mode)
    }

    /// Takes the program off an interface.
    ///
    /// # Errors
    ///
    /// [`DatapathError::NotAttached`] if no link is pinned for it.
    pub fn detach(&mut self, name: &str) -> Result<()> {
        attach::detach(self.pins()?, name)
    }

    /// The interfaces that the program is attached to, by name.
    ///
    /// # Errors
    ///
    /// [`DatapathError::Kernel`] if a pinned link cannot be looked at.
    pub fn attachments(&self) -> Result<Vec<(String, Attached)>> {
        attach::attachments(self.pins()?)
    }

    /// The interfaces whose link holds another program than this one, by name.
    ///
    /// # Errors
    ///
    /// [`DatapathError::Kernel`] if a pinned link cannot be looked at.
    pub fn replaced(&self) -> Result<Vec<String>> {
        let links = self.links()?.into_iter();
        Ok(links.filter(|link| !link.current).map(|link| link.name).collect())
    }

    /// Every pinned link, also those whose interface is gone or has another name.
    ///
    /// # Errors
    ///
    /// [`DatapathError::Kernel`] if a pinned link cannot be looked at.
    pub fn links(&self) -> Result<Vec<PinnedLink>> {
        links::links(self.pins()?, self.program.as_fd())
    }

    /// Puts this program in the place of the one that the link `name` holds, whatever its interface is called now.
    ///
    /// # Errors
    ///
    /// [`DatapathError::NotAttached`] if no link is pinned for it.
    pub fn update_link(&mut self, name: &str) -> Result<()> {
        links::update(self.pins()?, self.program.as_fd(), name)
    }

    /// The maps whose pins somebody removed: the next agent would not find them.
    ///
    /// # Errors
    ///
    /// [`DatapathError::Kernel`] if nothing is pinned at all.
    pub fn lost_pins(&self) -> Result<Vec<&'static str>> {
        let maps = self.pins()?.maps();
        let is_lost = |name: &&'static str| self.is_settled() && !maps.join(name).exists();
        Ok(self.held.keys().copied().filter(is_lost).collect())
    }

    /// Pins the map `name` where it was.
    ///
    /// # Errors
    ///
    /// [`DatapathError::Kernel`] if it cannot be pinned.
    pub fn pin_again(&self, name: &str) -> Result<()> {
        let path = self.pins()?.maps().join(name);
        let Some(map) = self.held.get(name) else { return Ok(()) };
        sys::pin(map.as_fd(), &path).map_err(error::kernel(format!("pin {name} at {}", path.display())))
    }

    fn pins(&self) -> Result<&Pins> {
        self.pins.as_ref().ok_or_else(|| DatapathError::Object {
            program: "director",
            problem: "it was loaded without pins, for tests only".to_owned(),
        })
    }

    /// Makes the changes `writes`, in order, up to the first that fails.
    ///
    /// # Errors
    ///
    /// [`DatapathError::OutOfRange`] for an index that a table does not have, [`DatapathError::Kernel`] when a hash map
    /// is full.
    pub fn apply(&mut self, writes: &[Write]) -> Result<()> {
        writes.iter().try_for_each(|write| self.maps.write(write))
    }

    /// Begins to count what interfaces do not send of what is redirected to them.
    ///
    /// # Errors
    ///
    /// The kernel lacks something that this takes: its own description (BTF), raw tracepoints.
    pub fn count_unsent(&mut self) -> Result<()> {
        self.redirects = Some(Redirects::open(&self.pins()?.redirects(), &self.maps)?);
        Ok(())
    }

    /// What was not sent since it is counted; nothing while it is not.
    ///
    /// # Errors
    ///
    /// [`DatapathError::Kernel`] if a map cannot be read.
    pub fn unsent(&self) -> Result<Vec<Unsent>> {
        self.redirects.as_ref().map_or_else(|| Ok(Vec::new()), Redirects::unsent)
    }

    /// The reader of the program's log, once, if it was asked for.
    pub fn take_log(&mut self) -> Option<DebugLog> {
        self.log.take()
    }
}
