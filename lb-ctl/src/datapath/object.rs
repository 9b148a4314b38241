//! The embedded objects: parsed and loaded through aya, their maps adopted from pins or made.

use super::capacities;
use super::debug_log::DebugLog;
use super::error::{DatapathError, Result, kernel, os_error};
use super::pins;
use super::verifier;
use aya::maps::{Map, MapData};
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader};
use aya_obj::{Map as MapDefinition, Object};
use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

/// Values of the constant in a program that logs; the program's own default is to log everything.
const LOG_NOTHING: u8 = 0;
const LOG_EVERYTHING: u8 = u8::MAX;

/// An object that lb-ctl carries, or another one in its place.
pub(super) struct Embedded<'o> {
    /// Name of its program.
    pub(super) program: &'static str,
    /// Its maps that the agent uses; only these are pinned.
    pub(super) maps: &'static [&'static str],
    pub(super) bytes: &'o [u8],
}

/// The director's program.
pub(super) const DIRECTOR: Embedded<'static> = Embedded {
    program: "director",
    maps: &lb_common::maps::DIRECTOR_MAPS,
    bytes: aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/director.o")),
};

/// The decapsulation program.
pub(super) const DECAP: Embedded<'static> = Embedded {
    program: "decap",
    maps: &lb_common::maps::DECAP_MAPS,
    bytes: aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/decap.o")),
};

/// The programs that count failed redirects.
pub(super) const REDIRECTS: Embedded<'static> = Embedded {
    program: "redirects",
    maps: &lb_common::maps::REDIRECT_MAPS,
    bytes: aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/redirects.o")),
};

/// How an object is loaded.
#[derive(Debug, Default)]
pub(super) struct LoadOptions<'a> {
    /// Directory where its maps are pinned, or are to be; `None` pins nothing.
    pub(super) pins: Option<&'a Path>,
    /// Directory for these maps instead, which are made beside those that are in use.
    pub(super) anew: Option<(&'a Path, &'a [&'static str])>,
    /// Whether the program logs what it does.
    pub(super) debug_log: bool,
    /// Numbers of elements other than the object's.
    pub(super) entries: &'a [(&'static str, u32)],
}

impl LoadOptions<'_> {
    /// Where the map `name` is pinned.
    fn place(&self, name: &str) -> Option<PathBuf> {
        let elsewhere = self.anew.filter(|(_, names)| names.contains(&name)).map(|(directory, _)| directory);
        elsewhere.or(self.pins).map(|directory| directory.join(name))
    }
}

/// A program in the kernel with its maps.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The program.
    pub(super) program: OwnedFd,
    /// Its maps, by name.
    pub(super) maps: BTreeMap<&'static str, OwnedFd>,
    /// Its log, if it was asked for.
    pub(super) log: Option<DebugLog>,
}

impl Embedded<'_> {
    /// Loads the object; with pins, its maps are the pinned ones, which must have the shape of the program's.
    pub(super) fn load(&self, options: &LoadOptions<'_>) -> Result<Loaded> {
        self.check_pins(options)?;
        let mut object = self.make_maps(options)?;
        let program = self.verify(&mut object)?;
        let mut maps = BTreeMap::new();
        for name in self.maps {
            let map = object.take_map(name).ok_or_else(|| self.broken(format!("it has no map {name}")))?;
            maps.insert(*name, self.descriptor(name, &map)?);
        }
        let log = options.debug_log.then(|| DebugLog::take(&mut object)).transpose()?;
        Ok(Loaded { program, maps, log })
    }

    /// Refuses pinned maps whose shape is not that of the program's: aya would adopt them as they are.
    pub(super) fn check_pins(&self, options: &LoadOptions<'_>) -> Result<()> {
        let object = self.parse()?;
        for name in self.maps {
            let map = self.map(&object, name)?;
            let Some(path) = options.place(name) else { continue };
            pins::check_shape(&path, map, capacities::is_sized(name))?;
        }
        Ok(())
    }

    /// Refuses an object whose maps have other keys, values or kinds than those of `other`: the agent's code is for these.
    pub(super) fn check_schema(&self, other: &Embedded<'_>) -> Result<()> {
        let (own, other_object) = (self.parse()?, other.parse()?);
        for name in self.maps {
            let (own, theirs) = (self.map(&own, name)?, other.map(&other_object, name)?);
            for (what, own, theirs) in [
                ("type", own.map_type(), theirs.map_type()),
                ("key size", own.key_size(), theirs.key_size()),
                ("value size", own.value_size(), theirs.value_size()),
                ("flags", own.map_flags(), theirs.map_flags()),
            ] {
                if own != theirs {
                    let problem = format!("another map schema: the {what} of {name} is {own}, not {theirs}");
                    return Err(self.broken(problem));
                }
            }
        }
        Ok(())
    }

    fn parse(&self) -> Result<Object> {
        Object::parse(self.bytes).map_err(|error| self.broken(format!("no object with programs: {error}")))
    }

    fn map<'m>(&self, object: &'m Object, name: &str) -> Result<&'m MapDefinition> {
        object.maps.get(name).ok_or_else(|| self.broken(format!("it has no map {name}")))
    }

    fn make_maps(&self, options: &LoadOptions<'_>) -> Result<Ebpf> {
        let path = |name: &&'static str| Some((*name, options.place(name)?));
        let paths: Vec<(&str, PathBuf)> = self.maps.iter().filter_map(path).collect();
        let mut loader = EbpfLoader::new();
        // The programs have no relocation against the kernel's types, and parsing those takes tens of megabytes.
        loader.btf(None);
        for (name, path) in &paths {
            loader.map_pin_path(name, path.as_path());
        }
        for (name, entries) in options.entries {
            loader.map_max_entries(name, *entries);
        }
        // A constant for the verifier: at level 0 it removes the branches that log, and what they cost.
        let level = if options.debug_log { &LOG_EVERYTHING } else { &LOG_NOTHING };
        loader.override_global(aya_log::LEVEL, level, options.debug_log);
        loader.load(self.bytes).map_err(|error| self.failed(&error))
    }

    fn verify(&self, object: &mut Ebpf) -> Result<OwnedFd> {
        let program: &mut Xdp = object
            .program_mut(self.program)
            .ok_or_else(|| self.broken(format!("it has no program {}", self.program)))?
            .try_into()
            .map_err(|error: ProgramError| self.broken(error.to_string()))?;
        program.load().map_err(|error| self.refused(error))?;
        let fd = program.fd().map_err(|error| self.failed(&error.into()))?;
        fd.as_fd().try_clone_to_owned().map_err(kernel(format!("keep the {} program", self.program)))
    }

    fn descriptor(&self, name: &str, map: &Map) -> Result<OwnedFd> {
        let data =
            data_of(map).ok_or_else(|| self.broken(format!("{name} is a map of an unexpected type")))?;
        data.fd().as_fd().try_clone_to_owned().map_err(kernel(format!("keep map {name}")))
    }

    /// The object is not what it should be.
    pub(super) fn broken(&self, problem: String) -> DatapathError {
        DatapathError::Object { program: self.program, problem }
    }

    fn refused(&self, error: ProgramError) -> DatapathError {
        if let ProgramError::LoadError { io_error, verifier_log } = error {
            return verifier::refusal(self.program, &io_error, &verifier_log.to_string());
        }
        self.failed(&error.into())
    }

    /// What the loader's error means.
    pub(super) fn failed(&self, error: &EbpfError) -> DatapathError {
        let doing = format!("load the {} program", self.program);
        match os_error(error) {
            Some(source) => kernel(doing)(source),
            None => self.broken(error.to_string()),
        }
    }
}

fn data_of(map: &Map) -> Option<&MapData> {
    if let Map::Array(data)
    | Map::HashMap(data)
    | Map::LruHashMap(data)
    | Map::PerCpuArray(data)
    | Map::DevMap(data)
    | Map::RingBuf(data) = map
    {
        return Some(data);
    }
    None
}
