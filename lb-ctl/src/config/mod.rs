//! The desired configuration: its model, reading, checking, changing and comparing. Pure: nothing here does I/O.

pub mod address;
pub mod change;
pub mod diff;
pub mod error;
mod flows;
pub mod intent;
mod keys;
pub mod limits;
pub mod model;
pub mod nearest;
pub mod parse;
pub mod ports;
pub mod prefix;
pub mod validate;

pub use error::ConfigError;
