//! An element of a connection table, which another CPU may take away at any moment.

use lb_common::connection::{Connection, TcpState};
use lb_common::server::ServerRef;

/// An entry of a connection table: a copy to judge by, and the way to the element.
///
/// The element may be freed and reused for another flow at any moment. What is read may be that flow's, so that
/// readers check what they can; what is written in place are single fields whose loss costs a timeout.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// The entry as it was read.
    pub(crate) connection: Connection,
    element: *mut Connection,
}

impl Entry {
    /// No entry.
    pub(crate) const NONE: Self = Self {
        connection: Connection { server: ServerRef::NONE, last_seen: 0, mac: [0; 6], device: 0, state: 0 },
        element: core::ptr::null_mut(),
    };

    #[inline]
    pub(crate) fn of(element: *mut Connection) -> Self {
        // SAFETY: the kernel gave a pointer to a whole element, which stays mapped while the program runs.
        Self { connection: unsafe { element.read() }, element }
    }

    /// Whether there is none: every entry names a server.
    #[inline]
    pub(crate) fn is_none(&self) -> bool {
        self.connection.server == ServerRef::NONE
    }

    /// The element, or null.
    #[inline]
    pub(crate) fn element(entry: Option<Self>) -> *mut Connection {
        entry.map_or(core::ptr::null_mut(), |entry| entry.element)
    }

    /// Sets the time of the last packet.
    #[inline]
    pub(crate) fn set_last_seen(self, now: u32) {
        // SAFETY: as in `of`.
        let field = unsafe { &raw mut (*self.element).last_seen };
        // SAFETY: as in `of`; the field is an aligned word.
        unsafe { field.write_volatile(now) };
    }

    /// Sets the state.
    #[inline]
    pub(crate) fn set_state(self, state: TcpState) {
        // SAFETY: as in `of`.
        let field = unsafe { &raw mut (*self.element).state };
        // SAFETY: as in `of`; the field is a byte.
        unsafe { field.write_volatile(state as u8) };
    }

    /// Sets where answers go.
    #[inline]
    pub(crate) fn set_client_side(self, mac: [u8; 6], device: u8) {
        // SAFETY: as in `of`.
        let field = unsafe { &raw mut (*self.element).mac };
        // SAFETY: as in `of`.
        unsafe { field.write(mac) };
        // SAFETY: as in `of`.
        let field = unsafe { &raw mut (*self.element).device };
        // SAFETY: as in `of`; the field is a byte.
        unsafe { field.write_volatile(device) };
    }
}
