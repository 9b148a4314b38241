//! The director's maps, opened: the one place that says which map holds what.

use super::error::{DatapathError, Result, kernel};
use super::map::{PerCpu, Table};
use super::mapped::{Mapped, MappedArray};
use super::sys::RawMap;
use lb_common::address::Address;
use lb_common::connection::Connection;
use lb_common::counters::{Count, Retired, Traffic};
use lb_common::flow::FlowKey;
use lb_common::server::Interface;
use lb_common::service::ServiceKey;
use std::os::fd::OwnedFd;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Value of `DEVICES`, `struct bpf_devmap_val`: where to, and a program that runs on the way (none here).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Device {
    pub(super) ifindex: u32,
    pub(super) program: u32,
}

/// The director's maps. Reading needs no more than `&self`; the one writer is [`super::Datapath`].
#[derive(Debug)]
pub(super) struct Maps {
    pub(super) settings: MappedArray<4>,
    pub(super) service_index: MappedArray<1>,
    pub(super) service_keys: Table<ServiceKey, u32>,
    pub(super) services: MappedArray<1>,
    pub(super) views: MappedArray<8>,
    pub(super) slots: Arena,
    pub(super) servers: MappedArray<8>,
    pub(super) half_open: Table<FlowKey, Connection>,
    pub(super) connections: Table<FlowKey, Connection>,
    pub(super) nat_hosts: Table<Address, u32>,
    pub(super) sequence: Table<u32, u64>,
    pub(super) interfaces: Table<u32, Interface>,
    pub(super) interface_keys: Table<u32, u32>,
    pub(super) devices: Table<u32, Device>,
    pub(super) service_counters: Table<u32, Retired>,
    pub(super) server_counters: PerCpu<Traffic>,
    pub(super) reason_counters: PerCpu<Count>,
    /// The ring buffer, for [`super::events::Events`].
    pub(super) ring: RawMap,
}

impl Maps {
    /// Opens each map through `open`, which is given its name.
    pub(super) fn open(mut open: impl FnMut(&'static str) -> Result<OwnedFd>) -> Result<Self> {
        let cpus = possible_cpus()?;
        let mut map = |name, cpus| -> Result<RawMap> {
            RawMap::new(open(name)?, cpus).map_err(kernel(format!("look at {name}")))
        };
        Ok(Self {
            settings: MappedArray::new("SETTINGS", &map("SETTINGS", None)?)?,
            service_index: MappedArray::new("SERVICE_INDEX", &map("SERVICE_INDEX", None)?)?,
            service_keys: Table::new("SERVICE_KEYS", map("SERVICE_KEYS", None)?),
            services: MappedArray::new("SERVICES", &map("SERVICES", None)?)?,
            views: MappedArray::new("VIEWS", &map("VIEWS", None)?)?,
            slots: Arena(map("SLOTS", None)?),
            servers: MappedArray::new("SERVERS", &map("SERVERS", None)?)?,
            half_open: Table::new("HALF_OPEN", map("HALF_OPEN", None)?),
            connections: Table::new("CONNECTIONS", map("CONNECTIONS", None)?),
            nat_hosts: Table::new("NAT_HOSTS", map("NAT_HOSTS", None)?),
            sequence: Table::new("SEQUENCE", map("SEQUENCE", None)?),
            interfaces: Table::new("INTERFACES", map("INTERFACES", None)?),
            interface_keys: Table::new("INTERFACE_KEYS", map("INTERFACE_KEYS", None)?),
            devices: Table::new("DEVICES", map("DEVICES", None)?),
            service_counters: Table::new("SERVICE_COUNTERS", map("SERVICE_COUNTERS", None)?),
            server_counters: PerCpu::new("SERVER_COUNTERS", map("SERVER_COUNTERS", Some(cpus))?, cpus),
            reason_counters: PerCpu::new("REASON_COUNTERS", map("REASON_COUNTERS", Some(cpus))?, cpus),
            ring: map("EVENTS", None)?,
        })
    }
}

/// `SLOTS`: mapped in windows, for the time of a read or a write, because what is mapped counts as resident.
#[derive(Debug)]
pub(super) struct Arena(RawMap);

impl Arena {
    /// Number of slots.
    pub(super) fn entries(&self) -> u32 {
        self.0.info().max_entries
    }

    /// The slots from `first` on, `len` of them, at least one.
    pub(super) fn window(&self, first: u32, len: usize) -> Result<Mapped> {
        let entries = self.entries();
        if first as usize + len > entries as usize {
            let index = entries.max(first);
            return Err(DatapathError::OutOfRange { map: "SLOTS", index, entries });
        }
        Mapped::new(&self.0, first as usize, len).map_err(kernel("map slots into memory"))
    }
}

/// Number of possible CPUs: of values in an element of a per-CPU map.
pub(super) fn possible_cpus() -> Result<usize> {
    aya::util::nr_cpus().map_err(|(path, error)| kernel(format!("read {path}"))(error))
}
