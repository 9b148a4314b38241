//! What both XDP programs share: the way to the packet's bytes.
#![no_std]

pub mod xdp_packet;
pub mod zeroed;
