//! The programs under `BPF_PROG_TEST_RUN`: packet in, verdict, packet out, counters moved. Needs root.
//!
//! A row is one packet through a freshly loaded program. Every counter that the row does not name must stand still.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, its helpers as well"
)]
#![expect(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, its helpers as well"
)]

/// Rows: a name, the packet, and what happens to it in a program with the tables of the world before them.
macro_rules! cases {
    ($world:expr; $($name:ident => $frame:expr, $expected:expr;)*) => {
        $(#[test] fn $name() {
            lb_tests::program::LoadedProgram::load(&$world).expect(&$frame.build(), &$expected);
        })*
    };
}

mod answers;
mod budget;
mod cycles;
mod datapath;
mod decap;
mod dr;
mod fixtures;
mod foreign;
mod frames;
mod garbage;
mod given;
mod harness;
mod hold;
mod lifetime;
mod next_hops;
mod overtaken;
mod ports;
mod shares;
mod sizes;
mod states;
mod tables;
mod truncated;
mod tunnel_sources;
mod untracked;
