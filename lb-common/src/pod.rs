//! Proofs about the layout of what crosses the boundary between program and agent.
//!
//! `zerocopy::IntoBytes` on each type refuses padding; the sizes here fix the schema
//! ([`crate::maps::SCHEMA_VERSION`]): a change of one of them is a change of version.

use crate::{connection, counters, event, flow, redirect, server, service, slots};

const fn has_size<T>(bytes: usize) {
    assert!(size_of::<T>() == bytes, "the layout changed: raise maps::SCHEMA_VERSION and the size here");
}

const _: () = {
    has_size::<service::ServiceKey>(24);
    has_size::<service::View>(64);
    has_size::<slots::Slot>(8);
    has_size::<server::Server>(64);
    has_size::<server::Interface>(12);
    has_size::<flow::FlowKey>(24);
    has_size::<connection::Connection>(16);
    has_size::<counters::Count>(16);
    has_size::<counters::Traffic>(40);
    has_size::<counters::Retired>(128);
    has_size::<counters::Settings>(32);
    has_size::<event::Event>(64);
    has_size::<redirect::RedirectFailure>(12);
};
