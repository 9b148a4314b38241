//! Real sockets through real machines: the network tests.

#![expect(clippy::indexing_slicing, reason = "a panic in a test is a failure with a line number")]

mod continuity;
mod control;
mod crash;
mod decap;
mod director;
mod drift;
mod events;
mod files;
mod interfaces;
mod lab;
mod leaving;
mod methods;
mod ports;
mod privileges;
mod redirects;
mod refusals;
mod replies;
mod resizing;
mod schedulers;
mod sizes;
mod sources;
mod support;
mod takeover;
mod tracking;
mod units;
mod vips;
