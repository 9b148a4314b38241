//! What can be read while the agent writes: tables, counters, connections. The sweep is here because it needs no order.

use super::Datapath;
use super::counters::Counted;
use super::error::Result;
use super::events::Events;
use super::maps::Maps;
use super::sweep::SweepReport;
use super::tables::Kernel;
use lb_common::connection::Connection;
use lb_common::counters::Traffic;
use lb_common::flow::FlowKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The director's maps. A clone is the same maps, for another thread.
#[derive(Clone, Debug)]
pub struct Reader(pub(super) Arc<Maps>);

impl Datapath {
    /// A handle for reading, which may be used in another thread while this one writes.
    pub fn reader(&self) -> Reader {
        Reader(Arc::clone(&self.maps))
    }
}

/// Defines the reading functions of [`Reader`] and the same ones for [`Datapath`].
macro_rules! readers {
    ($($(#[$doc:meta])* fn $name:ident(&self $(, $argument:ident: $type:ty)*) -> $result:ty;)*) => {
        impl Reader {
            $($(#[$doc])* pub fn $name(&self $(, $argument: $type)*) -> $result { self.0.$name($($argument),*) })*
        }

        impl Datapath {
            $($(#[$doc])* pub fn $name(&self $(, $argument: $type)*) -> $result { self.maps.$name($($argument),*) })*
        }
    };
}

readers! {
    /// The tables, read back from the kernel.
    ///
    /// # Errors
    ///
    /// [`super::DatapathError::Kernel`] if a map cannot be read.
    fn snapshot(&self) -> Result<Kernel>;
    /// The counters since the maps were made.
    ///
    /// # Errors
    ///
    /// [`super::DatapathError::Kernel`] if a map cannot be read.
    fn counted(&self) -> Result<Counted>;
    /// The traffic of servers, by id.
    ///
    /// # Errors
    ///
    /// [`super::DatapathError::OutOfRange`] for an id that the map does not have.
    fn server_traffic(&self, ids: &[u32]) -> Result<BTreeMap<u32, Traffic>>;
    /// Hands every entry of `CONNECTIONS` to `visit`: flows of clients and, for nat, their reply sides.
    ///
    /// # Errors
    ///
    /// [`super::DatapathError::Kernel`] if the map cannot be read.
    fn for_each_connection(&self, visit: impl FnMut(&FlowKey, &Connection)) -> Result<()>;
    /// Hands every entry of `HALF_OPEN` to `visit`.
    ///
    /// # Errors
    ///
    /// [`super::DatapathError::Kernel`] if the map cannot be read.
    fn for_each_half_open(&self, visit: impl FnMut(&FlowKey, &Connection)) -> Result<()>;
    /// The server's side of a nat connection, which is an entry of its own; `None` for other methods.
    ///
    /// # Errors
    ///
    /// [`super::DatapathError::Kernel`] if a map cannot be read.
    fn reply_side(&self, key: &FlowKey, connection: &Connection) -> Result<Option<Connection>>;
    /// Forgets the flows that were silent for longer than their service allows, and counts the others: about 300 ms
    /// a million.
    ///
    /// # Errors
    ///
    /// [`super::DatapathError::Kernel`] if a map cannot be read.
    fn sweep(&self, now: u32) -> Result<SweepReport>;
    /// The reader of sampled decisions.
    ///
    /// # Errors
    ///
    /// [`super::DatapathError::Object`] if the ring buffer cannot be mapped.
    fn events(&self) -> Result<Events>;
}
