//! The harness of the tests: a lab of network namespaces, and what loads and feeds the programs.
//!
//! [`lab`] stands alone, so that `cargo xtask demo` can use it without `lb-ctl`; everything that loads a program
//! is behind the feature `datapath`.

pub mod full;
pub mod lab;
pub mod measure;
#[cfg(feature = "datapath")]
pub mod packet;
#[cfg(feature = "datapath")]
pub mod program;
pub mod random;
pub mod rows;
