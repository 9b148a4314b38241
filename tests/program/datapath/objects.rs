//! Another object in the place of the one that lb-ctl carries: only one whose maps the agent's code can write.

use lb_ctl::datapath::Datapath;

const DIRECTOR: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bpf/director.o"));
const DECAP: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bpf/decap.o"));

fn open(object: &[u8]) -> Result<(), String> {
    let opened = Datapath::open_unpinned_from(object, &[("SLOTS", 1_024), ("CONNECTIONS", 1_024)]);
    opened.map(drop).map_err(|error| error.to_string())
}

/// The director's object with views of 72 bytes.
fn with_larger_views() -> Vec<u8> {
    // `BPF_MAP_TYPE_ARRAY`, size of a key and of a value, elements, `BPF_F_MMAPABLE`.
    let definition = |value_size: u32| {
        [2, 4, value_size, lb_common::maps::MAX_VIEWS, 1 << 10].map(u32::to_ne_bytes).concat()
    };
    let (old, new) = (definition(64), definition(72));
    let places: Vec<usize> =
        (0..DIRECTOR.len() - old.len()).filter(|at| DIRECTOR[*at..].starts_with(&old)).collect();
    assert_eq!(places.len(), 1, "one map is defined like VIEWS");
    let mut object = DIRECTOR.to_vec();
    object[places[0]..][..new.len()].copy_from_slice(&new);
    object
}

#[test]
fn the_same_object_is_taken() {
    assert_eq!(open(DIRECTOR), Ok(()));
}

#[test]
fn an_object_for_something_else_is_refused() {
    let rows: [(&[u8], &str); 3] = [
        (b"text", "cannot load the director program: no object with programs: "),
        (DECAP, "cannot load the director program: it has no map SETTINGS"),
        (
            &with_larger_views(),
            "cannot load the director program: another map schema: the value size of VIEWS is 72, not 64",
        ),
    ];
    for (object, want) in rows {
        let said = open(object).unwrap_err();
        assert!(said.starts_with(want), "{said}");
    }
}
