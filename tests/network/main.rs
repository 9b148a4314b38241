//! Real sockets through real machines: the network tests.

#![expect(clippy::indexing_slicing, reason = "a panic in a test is a failure with a line number")]

mod continuity;
mod lab;
mod methods;
mod refusals;
mod schedulers;
mod support;
