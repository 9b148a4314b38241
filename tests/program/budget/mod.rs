//! What the programs cost the kernel: verified instructions, stack and memory. Growth past a limit fails here, on every
//! kernel; any change at all fails in `snapshot.rs`, on the kernel that it is of.

mod load;
mod snapshot;

use std::os::fd::{AsFd, AsRawFd};

use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};

const DIRECTOR: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bpf/director.o"));
const DECAP: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bpf/decap.o"));

const REDIRECTS: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bpf/redirects.o"));

const VERIFIED: u64 = 60_000;
const MAP_BYTES: u64 = 64 * 1024 * 1024;

/// The value of a line `name:\tvalue` of a descriptor's `fdinfo`.
fn fdinfo(descriptor: impl AsFd, name: &str) -> u64 {
    let path = format!("/proc/self/fdinfo/{}", descriptor.as_fd().as_raw_fd());
    let text = std::fs::read_to_string(&path).unwrap();
    let line =
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    line.trim_start_matches(':').trim().parse().unwrap()
}

fn load(object: &[u8], log_level: u8) -> Ebpf {
    EbpfLoader::new().btf(None).override_global("AYA_LOG_LEVEL", &log_level, false).load(object).unwrap()
}

fn verified_instructions(object: &[u8], program: &str, log_level: u8) -> u64 {
    let mut object = load(object, log_level);
    let program: &mut Xdp = object.program_mut(program).unwrap().try_into().unwrap();
    program.load().unwrap();
    fdinfo(program.fd().unwrap().as_fd(), "verified_insns")
}

#[test]
fn the_verifier_reads_no_more_than_it_may() {
    for (name, object, log_level) in
        [("director", DIRECTOR, 0), ("director", DIRECTOR, 5), ("decap", DECAP, 0)]
    {
        let verified = verified_instructions(object, name, log_level);
        println!("{name} at log level {log_level}: {verified} verified instructions");
        assert!(verified > 0 && verified <= VERIFIED, "{name}: {verified}");
    }
}

#[test]
fn maps_of_default_size_stay_below_64_megabytes() {
    let mut object = load(DIRECTOR, 0);
    let sizes = object.maps_mut().map(|(name, map)| {
        let bytes = fdinfo(aya::maps::MapData::fd(data(map)), "memlock");
        println!("{name}: {bytes}");
        bytes
    });
    let total: u64 = sizes.sum();
    assert!(total > MAP_BYTES / 4 && total <= MAP_BYTES, "{total} bytes");
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a kind that the programs do not use is a failure")]
fn data(map: &aya::maps::Map) -> &aya::maps::MapData {
    use aya::maps::Map;
    match map {
        Map::Array(data)
        | Map::PerCpuArray(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::DevMap(data)
        | Map::RingBuf(data) => data,
        other => panic!("a map of a kind that is not counted: {other:?}"),
    }
}
