//! The maps are listed three times: in the document, in the shared crate and in the programs. The lists are equal.

use super::tree::{Source, Tree, Violation};

const DOCUMENT: &str = "ARCHITECTURE.md";
const NAMES: &str = "lb-common/src/maps.rs";
/// The list in [`NAMES`], and the file that declares these maps.
const PROGRAMS: [(&str, &str); 3] = [
    ("DIRECTOR_MAPS", "lb-ebpf/src/maps.rs"),
    ("DECAP_MAPS", "lb-ebpf/src/bin/decap.rs"),
    ("REDIRECT_MAPS", "lb-ebpf/src/bin/redirects.rs"),
];

/// Maps with their lines, in the order of the file.
type Maps<'a> = Vec<(usize, &'a str)>;

/// `ARCHITECTURE.md`, `lb-common` and the programs name the same maps.
pub(super) fn every_list_of_maps_is_the_same(tree: &Tree) -> Vec<Violation> {
    let Some(names) = tree.file(NAMES) else {
        return vec![Violation::absent(NAMES, "the names of the maps")];
    };
    let mut violations = Vec::new();
    let mut all = Vec::new();
    for (list, path) in PROGRAMS {
        let listed = listed(names, list);
        match tree.file(path) {
            Some(program) => violations.extend(differences(names, &listed, program, &declared(program))),
            None => violations.push(Violation::absent(path, "the maps of a program")),
        }
        all.extend(listed);
    }
    match tree.file(DOCUMENT) {
        Some(document) => violations.extend(differences(names, &all, document, &documented(document))),
        None => violations.push(Violation::absent(DOCUMENT, "with a table of the maps")),
    }
    violations
}

/// The names in the constant `list`.
fn listed<'a>(file: &'a Source, list: &str) -> Maps<'a> {
    let begin = format!("pub const {list}:");
    let lines = file.lines().skip_while(|(_, line)| !line.starts_with(&begin));
    let mut maps = Vec::new();
    for (number, line) in lines {
        maps.extend(line.split('"').skip(1).step_by(2).map(|name| (number, name)));
        if line.ends_with("];") {
            break;
        }
    }
    maps
}

/// The statics under `#[map]`.
fn declared(file: &Source) -> Maps<'_> {
    let lines = file.lines().zip(file.lines().skip(1));
    let under = lines.filter(|((_, line), _)| *line == "#[map]").map(|(_, below)| below);
    under
        .filter_map(|(number, line)| Some((number, line.strip_prefix("static ")?.split(':').next()?)))
        .collect()
}

/// The names in the first column of the table whose first heading is "map".
fn documented(file: &Source) -> Maps<'_> {
    let heading = |line: &str| first_cell(line).trim().eq_ignore_ascii_case("map");
    let rows = file.lines().skip_while(|(_, line)| !heading(line)).skip(2);
    let mut maps = Vec::new();
    for (number, line) in rows.take_while(|(_, line)| line.starts_with('|')) {
        let words = first_cell(line).split(|letter: char| !letter.is_ascii_uppercase() && letter != '_');
        maps.extend(words.filter(|word| !word.is_empty()).map(|word| (number, word)));
    }
    maps
}

fn first_cell(line: &str) -> &str {
    line.strip_prefix('|').and_then(|rest| rest.split('|').next()).unwrap_or_default()
}

/// What `file` has and `names` has not, the other way round, or another order.
fn differences(names: &Source, expected: &Maps<'_>, file: &Source, found: &Maps<'_>) -> Vec<Violation> {
    let has = |maps: &Maps<'_>, name: &str| maps.iter().any(|(_, other)| *other == name);
    let mut violations = Vec::new();
    for (line, name) in expected.iter().filter(|(_, name)| !has(found, name)) {
        violations
            .push(names.violation(*line, format!("the map {name} is not in {}; add it there", file.path)));
    }
    for (line, name) in found.iter().filter(|(_, name)| !has(expected, name)) {
        violations.push(
            file.violation(*line, format!("the map {name} is not in the list of {NAMES}; add it there")),
        );
    }
    let mut pairs = expected.iter().zip(found);
    if let (true, Some((_, (line, name)))) =
        (violations.is_empty(), pairs.find(|(one, other)| one.1 != other.1))
    {
        violations.push(
            file.violation(*line, format!("the map {name} has another place in {NAMES}; use one order")),
        );
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::tree::said;
    use super::*;

    const LISTS: &str = "pub const DIRECTOR_MAPS: [&str; 2] = [\n    \"SLOTS\",\n    \"VIEWS\",\n];\n\n\
                         pub const DECAP_MAPS: [&str; 1] = [\"DECAP_VIPS\"];\n\
                         pub const REDIRECT_MAPS: [&str; 1] = [\"REDIRECT_FAILURES\"];\n";
    const DIRECTOR: &str = "#[map]\nstatic SLOTS: Array<u64> = x;\n#[map]\nstatic VIEWS: Array<View> = x;\nstatic OTHER: u8 = 0;\n";
    const DECAP: &str = "#[map]\nstatic DECAP_VIPS: HashMap<Address, u32> = x;\n";
    const REDIRECTS: &str = "#[map]\nstatic REDIRECT_FAILURES: HashMap<Failure, u64> = x;\n";
    const TABLE: &str = "| crate | for |\n|---|---|\n| A | b |\n\n| map | kind |\n|---|---|\n| `SLOTS` | a |\n\
                         | `VIEWS` | A |\n| `DECAP_VIPS` | h |\n| `REDIRECT_FAILURES` | h |\n";

    fn checked(director: &str, decap: &str, table: &str) -> Vec<String> {
        let [(_, director_path), (_, decap_path), (_, redirects_path)] = PROGRAMS;
        let programs = [(director_path, director), (decap_path, decap), (redirects_path, REDIRECTS)];
        let tree = [&[(NAMES, LISTS), (DOCUMENT, table)], programs.as_slice()].concat();
        said(every_list_of_maps_is_the_same, &tree)
    }

    #[test]
    fn equal_lists_pass() {
        assert_eq!(checked(DIRECTOR, DECAP, TABLE), [""; 0]);
    }

    #[test]
    fn a_map_that_one_list_lacks_is_found() {
        let without = checked(DIRECTOR, "", TABLE);
        assert_eq!(
            without,
            ["lb-common/src/maps.rs:6: the map DECAP_VIPS is not in lb-ebpf/src/bin/decap.rs; add it there"]
        );
        let with = checked(&format!("{DIRECTOR}#[map]\nstatic LOAD: X = x;\n"), DECAP, TABLE);
        assert_eq!(
            with,
            ["lb-ebpf/src/maps.rs:7: the map LOAD is not in the list of lb-common/src/maps.rs; add it there"]
        );
        let document = checked(DIRECTOR, DECAP, "no table\n");
        assert_eq!(document.len(), 4, "{document:?}");
    }

    #[test]
    fn another_order_is_found() {
        let table = "| Map | kind |\n|---|---|\n| VIEWS, SLOTS | a |\n| DECAP_VIPS | a |\n| REDIRECT_FAILURES | h |\n";
        let violations = checked(DIRECTOR, DECAP, table);
        assert_eq!(
            violations,
            ["ARCHITECTURE.md:3: the map VIEWS has another place in lb-common/src/maps.rs; use one order"]
        );
    }
}
