//! A datapath full of flows and counters, and every byte of its tables.

use super::{PORT, VIP, ip, no_fork, service};
use crate::given::twin;
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray};
use lb_common::server::{Method, ServerState};
use lb_ctl::agent::reconcile::with_index;
use lb_ctl::config::model::Mode;
use lb_ctl::datapath::tables::{Capacities, Write};
use lb_ctl::datapath::{Datapath, OpenOptions};
use lb_tests::packet::udp;
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// Tables that are read quickly.
pub(super) fn small() -> Capacities {
    Capacities::of(8_192, 63, 127, 4_095)
}

pub(super) fn open(bpffs: &Path) -> Datapath {
    let options = OpenOptions { bpffs: bpffs.join("lb"), debug_log: false };
    let _guard = no_fork();
    Datapath::open_sized(&options, &small()).unwrap()
}

/// The datapath, attached to two interfaces.
pub(super) fn attached(bpffs: &Path) -> Datapath {
    ip("link add left type veth peer name right");
    ip("link add other type veth peer name another");
    let mut datapath = open(bpffs);
    for interface in ["left", "other"] {
        datapath.attach(interface, Mode::Auto).unwrap();
    }
    datapath
}

/// Sends a packet of the client's flow from `port`: the XDP action.
pub(super) fn send(datapath: &mut Datapath, port: u16) -> u32 {
    let client = SocketAddr::from((Ipv4Addr::new(198, 51, 100, 7), port));
    let frame = udp(client, SocketAddr::from((Ipv4Addr::from(VIP), PORT))).build();
    datapath.test_run(&frame, None).unwrap().0
}

/// A nat service with flows and counters.
pub(super) fn fill(datapath: &mut Datapath) {
    datapath.apply(&service(Method::Nat)).unwrap();
    // A second key, which shares its place in the index with the first.
    let tables = datapath.snapshot().unwrap();
    let (second, _) = twin(tables.service_keys.keys().next().unwrap());
    datapath.apply(&with_index(vec![Write::ServiceKey(second, Some(4))], &tables)).unwrap();
    for ports in [1..=1_000, 1..=1_000, 1..=10] {
        for port in ports {
            assert_eq!(send(datapath, port), 3, "port {port} is forwarded");
        }
        // Some of it was counted by a former server.
        let state = |state| Write::ServerState(5, state);
        let retired = [state(ServerState::Gone), Write::RetireServer(5), state(ServerState::Up)];
        datapath.apply(&retired).unwrap();
    }
    assert_eq!(send(datapath, 1), 3);
    datapath.beat(1_700_000_000).unwrap();
}

/// What a map holds: each element's key and value, zeros left out.
pub(super) type Elements = BTreeMap<Vec<u8>, Vec<u8>>;

pub(super) fn map(directory: &Path, name: &str) -> MapData {
    MapData::from_pin(directory.join(name)).unwrap()
}

pub(super) fn hash<const K: usize, const V: usize>(directory: &Path, name: &str) -> Elements {
    let map: HashMap<_, [u8; K], [u8; V]> = Map::HashMap(map(directory, name)).try_into().unwrap();
    map.iter().map(|element| element.unwrap()).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

pub(super) fn indexed(values: impl Iterator<Item = Vec<u8>>) -> Elements {
    let elements = (0_u32..).zip(values).filter(|(_, value)| value.iter().any(|byte| *byte != 0));
    elements.map(|(index, value)| (index.to_ne_bytes().to_vec(), value)).collect()
}

pub(super) fn array<const V: usize>(directory: &Path, name: &str) -> Elements {
    let map: Array<_, [u8; V]> = Map::Array(map(directory, name)).try_into().unwrap();
    indexed(map.iter().map(|value| value.unwrap().to_vec()))
}

pub(super) fn per_cpu<const V: usize>(directory: &Path, name: &str) -> Elements {
    let map: PerCpuArray<_, [u8; V]> = Map::PerCpuArray(map(directory, name)).try_into().unwrap();
    indexed(map.iter().map(|values| values.unwrap().iter().flatten().copied().collect()))
}

/// Every element of every map whose size can change, byte for byte.
pub(super) fn contents(bpffs: &Path) -> BTreeMap<&'static str, Elements> {
    let maps = &bpffs.join("lb/maps");
    [
        ("CONNECTIONS", hash::<24, 16>(maps, "CONNECTIONS")),
        ("SERVICE_KEYS", hash::<24, 4>(maps, "SERVICE_KEYS")),
        ("NAT_HOSTS", hash::<16, 4>(maps, "NAT_HOSTS")),
        ("SERVICES", array::<8>(maps, "SERVICES")),
        ("VIEWS", array::<64>(maps, "VIEWS")),
        ("SERVERS", array::<64>(maps, "SERVERS")),
        ("SLOTS", array::<8>(maps, "SLOTS")),
        ("SEQUENCE", array::<8>(maps, "SEQUENCE")),
        ("SERVICE_COUNTERS", array::<128>(maps, "SERVICE_COUNTERS")),
        ("SERVICE_INDEX", array::<8>(maps, "SERVICE_INDEX")),
        ("SERVER_COUNTERS", per_cpu::<40>(maps, "SERVER_COUNTERS")),
    ]
    .into()
}

/// The directories of pins; those of an exchange must be gone.
pub(super) fn directories(bpffs: &Path) -> Vec<String> {
    let entries = fs::read_dir(bpffs.join("lb")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}
