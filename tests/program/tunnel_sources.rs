//! A prefix of outer sources: one for each flow, the same for all its packets.

use std::collections::BTreeSet;

use lb_common::server::Method::Ipip;
use lb_tests::packet::tcp;
use lb_tests::program::{LoadedProgram, World, address};

use crate::given::V4;

/// Where an outer IPv4 header has its source.
const SOURCE: std::ops::Range<usize> = 26..30;

fn program(bits: u8) -> LoadedProgram {
    let server = V4.server(1, Ipip).source(address("10.9.8.0")).source_bits(bits);
    LoadedProgram::load(&World::new([V4.tcp([server])]))
}

fn sources(program: &mut LoadedProgram, flows: u16) -> BTreeSet<[u8; 4]> {
    let source = |frame: &[u8], program: &mut LoadedProgram| program.run(frame).1[SOURCE].try_into().unwrap();
    (0..flows)
        .map(|port| {
            let client = V4.client_at(10_000 + port);
            let first: [u8; 4] = source(&tcp(client, V4.vip).build(), program);
            let again = source(&tcp(client, V4.vip).payload(b"more").build(), program);
            assert_eq!(first, again, "two packets of one flow");
            first
        })
        .collect()
}

#[test]
fn flows_take_their_sources_from_the_prefix() {
    let sources = sources(&mut program(8), 500);
    assert!(sources.iter().all(|source| source[..3] == [10, 9, 8]), "{sources:?}");
    assert!(sources.len() > 150, "only {} of 256", sources.len());
}

#[test]
fn without_a_prefix_there_is_one_source() {
    assert_eq!(sources(&mut program(0), 20), [[10, 9, 8, 0]].into());
}
