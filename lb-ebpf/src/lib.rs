//! What both XDP programs share: the way to the packet's bytes.
#![no_std]
#![feature(asm_experimental_arch)]

pub mod xdp_packet;
pub mod zeroed;
