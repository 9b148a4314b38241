//! Frames that were forwarded to another interface and not sent by it: known only after the verdict.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Key of `REDIRECT_FAILURES`; the value is a number of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RedirectFailure {
    /// Index of the interface that the frames came in by; 0 if it is not known, and they are the director's.
    pub from: u32,
    /// Index of the interface that should have sent them.
    pub to: u32,
    /// The kernel's error number; 0 if the driver took fewer than it was given.
    pub error: u32,
}
