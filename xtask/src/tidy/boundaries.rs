//! The borders between parts: who may use the loader's library, declare maps, or print.

use super::tree::{Source, Tree, Violation};

/// What only some places may use.
struct Border {
    /// As it stands in the code.
    used: &'static [&'static str],
    /// Beginnings of the paths that may.
    allowed: &'static [&'static str],
    advice: &'static str,
}

const BORDERS: [Border; 2] = [
    Border {
        used: &["aya::", "aya_obj::", "aya_log::"],
        allowed: &["lb-ctl/src/datapath", "tests/", "xtask/src/tidy/"],
        advice: "ask lb-ctl's datapath instead",
    },
    Border {
        used: &["println!", "print!", "eprintln!", "eprint!"],
        allowed: &["lb-ctl/src/render", "lb-ctl/src/main.rs", "lb-ctl/build.rs", "tests/", "xtask/"],
        advice: "give the text to lb-ctl's render instead",
    },
];

/// The only files that declare maps.
const MAP_FILES: [&str; 5] = [
    "lb-ebpf/src/maps.rs",
    "lb-ebpf/src/bin/decap.rs",
    "lb-ebpf/src/bin/redirects.rs",
    "lb-ebpf/src/bin/bench/main.rs",
    "lb-ebpf/src/bin/bench/floors.rs",
];

/// Nothing is used outside its border.
pub(super) fn borders_are_kept(tree: &Tree) -> Vec<Violation> {
    let crossings = |border| tree.with_extension("rs").flat_map(move |file| crossings(border, file));
    BORDERS.iter().flat_map(crossings).collect()
}

fn crossings(border: &Border, file: &Source) -> Vec<Violation> {
    if border.allowed.iter().any(|path| file.path.starts_with(path)) {
        return Vec::new();
    }
    let code = file.lines().filter(|(_, line)| !line.trim_start().starts_with("//"));
    let used = code.filter_map(|(number, line)| {
        let used = border.used.iter().find(|used| uses(line, used))?;
        Some(file.violation(number, format!("`{used}` is not for this file; {}", border.advice)))
    });
    used.collect()
}

/// Whether `line` has `name`, and not as the end of a longer one.
fn uses(line: &str, name: &str) -> bool {
    let before = |place: usize| line.get(..place).and_then(|text| text.chars().next_back());
    let whole = |place| before(place).is_none_or(|letter| !letter.is_alphanumeric() && letter != '_');
    line.match_indices(name).any(|(place, _)| whole(place))
}

/// Maps are declared in one file for each program.
pub(super) fn maps_are_declared_in_two_files(tree: &Tree) -> Vec<Violation> {
    let files = tree.with_extension("rs").filter(|file| !MAP_FILES.contains(&file.path.as_str()));
    let lines = files.flat_map(|file| file.lines().map(move |(number, line)| (file, number, line.trim())));
    let declarations = lines.filter(|(_, _, line)| *line == "#[map]" || line.starts_with("#[map("));
    let what = || format!("a map is declared outside {}; move it there", MAP_FILES.join(" and "));
    declarations.map(|(file, number, _)| file.violation(number, what())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::said;
    use super::*;

    #[test]
    fn a_use_outside_the_border_is_found() {
        let tree = [
            ("lb-ctl/src/datapath/object.rs", "use aya::Ebpf;\n"),
            (
                "lb-ctl/src/agent/mod.rs",
                "// aya::Ebpf\nuse aya_ebpf::maps;\nlet x: aya::Ebpf;\nanstream::println!(\"x\");\n",
            ),
            ("lb-ctl/src/render/mod.rs", "anstream::println!(\"x\");\n"),
        ];
        assert_eq!(
            said(borders_are_kept, &tree),
            [
                "lb-ctl/src/agent/mod.rs:3: `aya::` is not for this file; ask lb-ctl's datapath instead",
                "lb-ctl/src/agent/mod.rs:4: `println!` is not for this file; give the text to lb-ctl's render instead"
            ]
        );
    }

    #[test]
    fn a_map_in_another_file_is_found() {
        let text = "#[map]\nstatic A: B = c;\n";
        let violations =
            said(maps_are_declared_in_two_files, &[(MAP_FILES[0], text), ("lb-ebpf/src/main.rs", text)]);
        assert_eq!(violations.len(), 1);
        assert!(violations[0].starts_with("lb-ebpf/src/main.rs:1: a map is declared outside"));
    }
}
