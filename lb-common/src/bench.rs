//! What the bench puts in the place of each packet: shared by its harness in the kernel and the bench, used by nothing else.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Words that hold what is put back of a frame: Ethernet, IPv6 and TCP.
pub const HEADER: usize = 10;

/// Place in `OUT` of the interface that the generator of live frames sends by.
pub const OUT_OF_GENERATOR: u32 = 0;
/// Place in `OUT` of the interface that the least of all directors sends by.
pub const OUT_OF_DIRECTOR: u32 = 1;

/// Where a frame says which flow it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Layout {
    /// IPv4, from the client.
    V4 = 0,
    /// IPv4, to the client.
    V4Reply = 1,
    /// IPv6, from the client.
    V6 = 2,
    /// IPv6, to the client.
    V6Reply = 3,
}

/// Value of `RECIPE`, of which there is one: 96 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Recipe {
    /// How a frame of flow 0 begins.
    pub header: [u64; HEADER],
    /// Length of the frame.
    pub length: u32,
    /// Number of flows, a power of two up to 2^24, less one.
    pub mask: u32,
    /// Number of the next frame; its low bits are the flow.
    pub next: u32,
    /// A [`Layout`].
    pub layout: u32,
}

const _: () = assert!(size_of::<Recipe>() == 96, "no padding: the bench writes it as bytes");
