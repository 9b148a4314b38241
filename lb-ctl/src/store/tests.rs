//! The store on a real directory.

use super::*;
use crate::config::intent::{Mark, Order, ServerName};
use std::os::unix::fs::MetadataExt;

fn stored(number: u64) -> Stored {
    let text = "[[service]]\nname = \"web\"\nvip = \"192.0.2.10\"\nport = 80\nprotocol = \"tcp\"\n[[pool]]\nname = \"web\"\n";
    let by = Actor { uid: Some(0), user: "root".to_owned() };
    let drain = Some(Mark { by: by.clone(), since: 5 });
    let orders = [(ServerName::new("web", "pc1"), Order { drain, weight: None })].into();
    let command = "service add web 192.0.2.10:80/tcp".to_owned();
    Stored {
        revision: Revision {
            number,
            time: 7,
            by,
            command,
            follows: None,
            message: Some("for the feast".to_owned()),
        },
        config: crate::config::parse::from_toml(text, "test").unwrap(),
        intent: Intent { orders, leaving: Vec::new() },
        placed: [("192.0.2.10".parse().unwrap(), "eth0".to_owned())].into(),
    }
}

fn files(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_was_stored_is_there_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b");
    let store = Store::open(&path).unwrap();
    assert_eq!(store.load().unwrap(), None);
    for stored in [Stored::default(), stored(1), stored(2)] {
        store.commit(&stored).unwrap();
        assert_eq!(Store::open(&path).unwrap().load().unwrap(), Some(stored));
    }
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o750);
    assert_eq!(files(&path), ["revisions", "store.json"]);
    for file in ["store.json", "revisions/00000001.json"] {
        assert_eq!(fs::metadata(path.join(file)).unwrap().mode() & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_write_that_was_cut_off_leaves_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    store.commit(&stored(1)).unwrap();
    fs::write(directory.path().join("store.json.new"), "{\"format\":2,\"conf").unwrap();
    fs::write(directory.path().join("revisions/00000002.json.new"), "{\"form").unwrap();
    assert_eq!(store.load().unwrap(), Some(stored(1)));
    assert_eq!(store.history(1).unwrap(), [stored(1).revision]);
}

#[test]
fn a_revision_that_never_came_into_force_is_no_history() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    store.commit(&stored(1)).unwrap();
    let next = Stored { config: Config::default(), ..stored(2) };
    let copy = store.path_of_next();
    let begin = || file::replace(&copy, &format::encode(&next, &copy).unwrap()).unwrap();
    begin();
    assert_eq!(store.load().unwrap(), Some(stored(1)), "killed before the rename of store.json");
    assert_eq!(store.history(1).unwrap(), [stored(1).revision]);
    assert!(store.revision(2).is_err() && !copy.exists());
    begin();
    store.save(&next).unwrap();
    assert_eq!(store.load().unwrap().as_ref(), Some(&next), "killed after it");
    assert_eq!(store.revision(2).unwrap(), next);
    store.commit(&stored(2)).unwrap();
    assert_eq!(store.revision(2).unwrap(), stored(2));
    assert_eq!(store.history(2).unwrap().len(), 2);
    fs::rename(store.path_of(2), &copy).unwrap();
    assert_eq!(
        store.history(2).unwrap().len(),
        2,
        "killed before the rename of the copy, and read without an agent"
    );
    assert_eq!(store.revision(2).unwrap(), stored(2));
}

#[test]
fn a_revision_that_is_taken_back_leaves_no_trace_wherever_a_kill_strikes() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    store.commit(&stored(1)).unwrap();
    let steps: [fn(&Store); 4] = [
        |_| {},
        |store| fs::rename(store.path_of(2), store.path_of_next()).unwrap(),
        |store| store.put(&stored(1)).unwrap(),
        |store| store.take_back(&stored(1), 2).unwrap(),
    ];
    for killed_after in 0..steps.len() {
        store.commit(&stored(2)).unwrap();
        let last = if killed_after == 3 { &steps[3..] } else { &steps[..=killed_after] };
        for step in last {
            step(&store);
        }
        let number = if killed_after < 2 { 2 } else { 1 };
        assert_eq!(store.load().unwrap(), Some(stored(number)), "{killed_after}");
        let history: Vec<_> = store.history(9).unwrap().iter().map(|revision| revision.number).collect();
        assert_eq!(history, (1..=number).rev().collect::<Vec<_>>(), "{killed_after}");
        assert!(!store.path_of_next().exists(), "{killed_after}");
        store.take_back(&stored(1), number).unwrap();
    }
}

#[test]
fn vips_of_a_later_revision_are_known_after_a_way_back_by_hand() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let later = [("192.0.2.11".parse().unwrap(), "eth1".to_owned())];
    let mut both = stored(1).placed;
    both.extend(later);
    store.commit(&stored(1)).unwrap();
    store.commit(&Stored { placed: both.clone(), ..stored(2) }).unwrap();
    fs::copy(store.path_of(1), store.path()).unwrap();
    assert_eq!(store.load().unwrap(), Some(Stored { placed: both, ..stored(1) }));
    assert_eq!(store.read().unwrap(), Some(stored(1)), "reading alone changes nothing");
}

#[test]
fn a_store_that_is_lost_is_not_an_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.load().unwrap(), None);
    store.commit(&stored(1)).unwrap();
    fs::remove_file(store.path()).unwrap();
    for error in [store.load().unwrap_err(), store.read().unwrap_err()] {
        assert!(error.to_string().contains("is gone"), "{error}");
        let way = format!("`cp {} {}`", store.path_of(1).display(), store.path().display());
        assert!(error.hint().unwrap().contains(&way), "{:?}", error.hint());
    }
}

#[test]
fn the_way_back_loses_neither_orders_nor_vips() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    store.commit(&Stored { intent: Intent::default(), placed: BTreeMap::new(), ..stored(1) }).unwrap();
    store.save(&stored(1)).unwrap();
    fs::copy(store.path_of(1), store.path()).unwrap();
    assert_eq!(store.load().unwrap(), Some(stored(1)));
    let drained = Stored { intent: Intent::default(), ..stored(1) };
    store.put(&drained).unwrap();
    assert_eq!(store.load().unwrap().as_ref(), Some(&drained), "killed before the copy");
    assert_eq!(store.revision(1).unwrap(), drained);
    store.take_back(&stored(1), 1).unwrap();
    assert_eq!(store.revision(1).unwrap(), stored(1), "an order that was taken back");
    store.save(&Stored { revision: Revision::default(), ..stored(1) }).unwrap();
    assert_eq!(files(&directory.path().join("revisions")), ["00000001.json"], "no revision, no copy");
}

#[test]
fn a_number_is_never_given_to_a_second_revision() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.next_number(0), 1);
    (1..=3).for_each(|number| store.commit(&stored(number)).unwrap());
    assert_eq!(store.next_number(3), 4);
    fs::copy(store.path_of(1), store.path()).unwrap();
    assert_eq!(store.next_number(1), 4, "put back by hand");
    assert_eq!(store.next_number(9), 10, "the files are gone");
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_its_line_and_the_way_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    for number in [1, 2] {
        store.commit(&stored(number)).unwrap();
    }
    let good = fs::read_to_string(store.path()).unwrap();
    let (half, _) = good.split_at(good.len() / 2);
    let rows = [
        ("half a file", half.into(), "line ", "cp "),
        ("an empty file", vec![], "line 1 column 0", "cp "),
        ("no text", b"{\n\"format\": \xff".to_vec(), "line 2 is not UTF-8", "cp "),
        ("a file that is too large", vec![b' '; 64 * 1024 * 1024 + 1], "more than 67108864 bytes", "cp "),
        (
            "a newer format",
            good.replace("\"format\": 2", "\"format\": 9").into(),
            "it has format 9, this version knows formats up to 2",
            "newer version",
        ),
        ("a word that is none", good.replace("\"tcp\"", "\"pct\"").into(), "unknown variant `pct`", "cp "),
        (
            "a configuration that cannot be",
            good.replace("\"192.0.2.10\",", "\"224.0.0.1\",").into(),
            "224.0.0.1",
            "cp ",
        ),
    ];
    fs::write(store.path_of(2), half).unwrap();
    for (name, text, message, hint) in rows {
        fs::write(store.path(), &text).unwrap();
        let error = store.load().unwrap_err();
        assert!(error.to_string().contains(message), "{name}: {error}");
        let told = error.hint().unwrap();
        assert!(told.contains(hint) && told.contains("forwarding goes on"), "{name}: {told}");
        let way = format!("cp {} {}", store.path_of(1).display(), store.path().display());
        assert!(told.contains(&way), "{name}: {told}");
        assert!(fs::read(store.path()).unwrap() == text, "{name}: it was touched");
    }
    fs::copy(store.path_of(1), store.path()).unwrap();
    assert_eq!(store.load().unwrap(), Some(stored(1)), "the way back leads there");
}

#[test]
fn a_store_of_the_first_format_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let config = serde_json::to_string(&stored(0).config).unwrap();
    let text = format!(
        "{{\"format\":1,\"config\":{config},\"intent\":{{\"drained\":[[\"web\",\"pc1\"]]}},\"placed\":{{\"192.0.2.10\":\"eth0\"}}}}"
    );
    fs::write(store.path(), text).unwrap();
    let read = store.load().unwrap().unwrap();
    assert_eq!((&read.config, &read.placed), (&stored(0).config, &stored(0).placed));
    assert!(read.intent.is_drained("web", "pc1"));
    assert_eq!(read.revision.number, 0);
}

#[test]
fn a_revision_that_is_not_kept_is_named_with_those_that_are() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.revision(999).unwrap_err().to_string(), "there is no revision 999: none is kept");
    store.commit(&stored(4)).unwrap();
    assert_eq!(store.revision(999).unwrap_err().to_string(), "there is no revision 999: only 4 is kept");
    store.commit(&stored(5)).unwrap();
    assert_eq!(store.revision(999).unwrap_err().to_string(), "there is no revision 999: 4 to 5 are kept");
}

#[test]
fn old_revisions_give_way() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let last = KEPT_REVISIONS as u64 + 2;
    for number in 1..=last {
        store.commit(&stored(number)).unwrap();
    }
    let numbers: Vec<_> = store.history(last).unwrap().iter().map(|revision| revision.number).collect();
    assert_eq!(numbers, (3..=last).rev().collect::<Vec<_>>());
}
