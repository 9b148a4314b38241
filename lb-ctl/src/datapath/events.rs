//! Sampled decisions, out of the ring buffer.

use super::error::{DatapathError, Result, kernel};
use super::maps::Maps;
use aya::maps::{Map, MapData, RingBuf};
use lb_common::event::Event;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use zerocopy::FromBytes as _;

/// The reader of `EVENTS`. There is one place in the buffer for all readers, so there should be one reader.
///
/// The descriptor becomes readable when there are events.
pub struct Events(RingBuf<MapData>);

impl Events {
    fn open(maps: &Maps) -> Result<Self> {
        let fd = maps.ring.as_fd().try_clone_to_owned().map_err(kernel("open EVENTS again"))?;
        let broken = |error: aya::maps::MapError| DatapathError::Object {
            program: "director",
            problem: error.to_string(),
        };
        let map = Map::from_map_data(MapData::from_fd(fd).map_err(broken)?).map_err(broken)?;
        RingBuf::try_from(map).map(Self).map_err(broken)
    }

    /// The next event, `None` if there is none now. A record of another size is skipped.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Ok(event) = Event::read_from_bytes(&self.0.next()?) {
                return Some(event);
            }
        }
    }
}

impl Maps {
    /// A reader of `EVENTS`.
    pub(super) fn events(&self) -> Result<Events> {
        Events::open(self)
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Events").field(&self.as_raw_fd()).finish()
    }
}
