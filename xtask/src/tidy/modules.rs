//! Rules about files of Rust: their size, their first lines, the names of their tests.

use super::tree::{File, Finding, Tree};

/// Lines of a file without its tests, at most.
const LONGEST: usize = 300;

/// Files that are read first, and so have to be shorter.
const FIRST_FILES: [(&str, usize); 3] =
    [("lb-ebpf/src/pipeline.rs", 60), ("lb-ebpf/src/main.rs", 60), ("lb-ctl/src/main.rs", 60)];

/// No file is longer than it may be.
pub(super) fn files_are_short(tree: &Tree) -> Vec<Finding> {
    let longest = |file: &File| {
        FIRST_FILES.into_iter().find(|(path, _)| *path == file.path).map_or(LONGEST, |(_, longest)| longest)
    };
    let check = |file: &File| {
        let (lines, longest) = (file.lines_without_tests().count(), longest(file));
        (lines > longest).then(|| file.whole(format!("{lines} lines without tests, more than {longest}")))
    };
    tree.sources().filter_map(check).collect()
}

/// Every file of Rust begins with what it is for.
pub(super) fn modules_are_described(tree: &Tree) -> Vec<Finding> {
    let described = |file: &&File| file.text.starts_with("//! ");
    let missing = tree.sources().filter(|file| !described(file));
    missing.map(|file| file.whole("does not begin with `//!` and what the module is for")).collect()
}

/// No test is called `test_` something.
pub(super) fn tests_are_sentences(tree: &Tree) -> Vec<Finding> {
    let named = |line: &str| line.trim_start().trim_start_matches("async ").starts_with("fn test_");
    let findings = |file: &File| {
        let lines = file.lines().filter(|(_, line)| named(line));
        lines
            .map(|(number, _)| file.at(number, "a test's name is a sentence, without `test_`"))
            .collect::<Vec<_>>()
    };
    tree.sources().flat_map(findings).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::found;
    use super::*;

    #[test]
    fn a_file_of_301_lines_is_too_long_and_tests_do_not_count() {
        let (long, right) = ("x\n".repeat(301), "x\n".repeat(300) + "#[cfg(test)]\nmod tests {\n}\n");
        let tree = Tree::of(&[("a.rs", &long), ("b.rs", &right), ("c.md", &long)]);
        assert_eq!(found(&files_are_short(&tree)), ["a.rs: 301 lines without tests, more than 300"]);
    }

    #[test]
    fn the_pipeline_has_to_be_shorter() {
        let tree = Tree::of(&[("lb-ebpf/src/pipeline.rs", &"x\n".repeat(61))]);
        assert_eq!(files_are_short(&tree).len(), 1);
    }

    #[test]
    fn a_module_without_a_description_is_found() {
        let tree = Tree::of(&[("a.rs", "use x;\n//! Late."), ("b.rs", "//! Says it."), ("c.rs", "")]);
        assert_eq!(modules_are_described(&tree).len(), 2);
    }

    #[test]
    fn a_test_with_the_prefix_is_found() {
        let tree =
            Tree::of(&[("a.rs", "    async fn test_it() {}\nfn tests_it() {}\nfn it() { test_it() }\n")]);
        assert_eq!(
            found(&tests_are_sentences(&tree)),
            ["a.rs:1: a test's name is a sentence, without `test_`"]
        );
    }
}
