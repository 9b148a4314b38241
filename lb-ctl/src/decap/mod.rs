//! The decapsulation program of a server, beyond the kernel: what is to outlive a reboot, and the process that sees to it.
//!
//! The file `decap.json` is the truth. Whoever changes it or the kernel has a turn, one at a time. The process reads
//! it anew at every look, so nobody has to tell it of a change.

pub mod run;
pub mod store;
pub(crate) mod turn;
