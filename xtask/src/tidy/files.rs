//! What holds for every source file: its size, and its first line.

use super::tree::{Source, Tree, Violation};

/// Lines of a source file without its tests.
const MOST_LINES: usize = 300;
/// Files that a reader opens first, with limits of their own.
const SHORT: [(&str, usize); 2] = [("lb-ebpf/src/main.rs", 60), ("lb-ebpf/src/pipeline.rs", 60)];

/// No source file is longer than a reader can hold in mind.
pub(super) fn no_file_is_too_long(tree: &Tree) -> Vec<Violation> {
    tree.with_extension("rs").filter_map(too_long).collect()
}

fn too_long(file: &Source) -> Option<Violation> {
    let most = SHORT.iter().find(|(path, _)| *path == file.path).map_or(MOST_LINES, |(_, most)| *most);
    let lines = lines_without_tests(&file.text);
    let what =
        || format!("{lines} lines without tests are more than {most}; split it by what its parts are for");
    (lines > most).then(|| file.violation(most + 1, what()))
}

/// Lines before a module of tests at the end.
fn lines_without_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let begins = |pair: &[&str]| matches!(pair, ["#[cfg(test)]", next] if next.starts_with("mod tests {"));
    lines.windows(2).position(begins).unwrap_or(lines.len())
}

/// Every module begins with `//!`.
pub(super) fn every_module_says_what_it_is_for(tree: &Tree) -> Vec<Violation> {
    let silent = tree.with_extension("rs").filter(|file| !file.text.starts_with("//!"));
    let what = "does not begin with `//!`; say what the module is responsible for";
    silent.map(|file| file.violation(1, what)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::said;
    use super::*;

    #[test]
    fn a_file_may_have_three_hundred_lines_and_its_tests() {
        let code = "//! x\n".repeat(300);
        let tested = format!("{code}#[cfg(test)]\nmod tests {{\n}}\n");
        assert_eq!(said(no_file_is_too_long, &[("a.rs", &code), ("b.rs", &tested)]), [""; 0]);
        let long = format!("{code}//! y\n");
        let violations = said(no_file_is_too_long, &[("a.rs", &long), ("a.md", &long)]);
        assert_eq!(violations.len(), 1);
        assert!(violations[0].starts_with("a.rs:301: 301 lines without tests are more than 300;"));
    }

    #[test]
    fn the_files_to_read_first_have_less() {
        let code = "//! x\n".repeat(61);
        let violations =
            said(no_file_is_too_long, &[("lb-ebpf/src/main.rs", &code), ("lb-ctl/src/main.rs", &code)]);
        assert_eq!(violations.len(), 1);
        assert!(violations[0].starts_with("lb-ebpf/src/main.rs:61:"));
    }

    #[test]
    fn a_module_without_a_first_sentence_is_found() {
        let tree = [("a.rs", "//! Good.\n"), ("b.rs", "use std::fs;\n//! Late.\n")];
        assert_eq!(
            said(every_module_says_what_it_is_for, &tree),
            ["b.rs:1: does not begin with `//!`; say what the module is responsible for"]
        );
    }
}
