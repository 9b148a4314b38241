//! Types and rules shared by the XDP programs and the agent.
//!
//! Everything that can be wrong about a packet is decided here, in plain functions that the host's tests run as they
//! are; `lb-ebpf` only fetches and stores. No I/O, no clock, no randomness: they are arguments.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod address;
pub mod answer;
pub mod bench;
pub mod connection;
pub mod counters;
pub mod event;
pub mod flow;
pub mod forward;
pub mod index;
pub mod maps;
pub mod packet;
pub mod pod;
pub mod rate;
pub mod redirect;
pub mod scheduler;
pub mod server;
pub mod service;
pub mod slots;
pub mod tracking;
pub mod verdict;
pub mod wire;

#[cfg(test)]
mod tests;
