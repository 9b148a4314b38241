//! The words of the tree: one for each thing, sentences for tests, and no open end without an issue.

use super::tree::{Tree, Violation};

/// Files that people write in.
const WRITTEN: [&str; 6] = ["rs", "md", "toml", "sh", "py", "yml"];
/// These files name what they look for.
const OWN: &str = "xtask/src/tidy/";

/// Words that no identifier and no text has, with ours.
const BANNED: [(&[&str], &str); 10] = [
    (&["vserver"], "service"),
    (&["vservers"], "services"),
    (&["virtualserver"], "service"),
    (&["realserver"], "server"),
    (&["realservers"], "servers"),
    (&["backend"], "server"),
    (&["backends"], "servers"),
    (&["upstream"], "server"),
    (&["upstreams"], "servers"),
    (&["quiesced"], "draining"),
];
/// Identifiers of two words; in prose these are two words and may be right.
const BANNED_PAIRS: [(&str, &str); 4] = [
    ("real_server", "server"),
    ("RealServer", "server"),
    ("virtual_server", "service"),
    ("VirtualServer", "service"),
];
/// A line that speaks of another product uses that product's words.
const PRODUCTS: [&str; 8] = ["lvs", "ipvs", "ipvsadm", "keepalived", "katran", "haproxy", "nginx", "envoy"];

/// Open ends name the issue that closes them.
pub(super) fn open_ends_have_an_issue(tree: &Tree) -> Vec<Violation> {
    let files = tree.with_extensions(&WRITTEN).filter(|file| !file.path.starts_with(OWN));
    let lines = files.flat_map(|file| file.lines().map(move |(number, line)| (file, number, line)));
    let open = lines.filter(|(_, _, line)| is_open_end(line));
    open.map(|(file, number, _)| {
        file.violation(number, "an open end without an issue; write `(#N)` after it")
    })
    .collect()
}

fn is_open_end(line: &str) -> bool {
    let named =
        line.split('#').skip(1).any(|after| after.starts_with(|letter: char| letter.is_ascii_digit()));
    // Quoted in a document, the word is the rule and not an open end.
    let bare = line.split('`').step_by(2);
    !named && bare.flat_map(words).any(|word| word == "TODO" || word == "FIXME")
}

/// One word for each thing.
pub(super) fn one_word_for_each_thing(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.with_extensions(&WRITTEN).filter(|file| !file.path.starts_with(OWN)) {
        for (number, line) in file.lines().filter(|(_, line)| !names_a_product(line)) {
            let found =
                banned(line).map(|(theirs, ours)| format!("`{theirs}` is called {ours} here; use that word"));
            violations.extend(found.map(|what| file.violation(number, what)));
        }
    }
    violations
}

fn banned(line: &str) -> Option<(&'static str, &'static str)> {
    let lower = line.to_ascii_lowercase();
    let single = BANNED.iter().find_map(|(theirs, ours)| {
        let theirs = theirs
            .iter()
            .find(|theirs| words(&lower).any(|word| word.split('_').any(|part| part == **theirs)))?;
        Some((*theirs, *ours))
    });
    single.or_else(|| BANNED_PAIRS.iter().copied().find(|(theirs, _)| line.contains(theirs)))
}

fn names_a_product(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    words(&lower).any(|word| PRODUCTS.contains(&word))
}

/// Tests are named by sentences: what `#[test]` stands above does not say "test" again.
pub(super) fn tests_are_sentences(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.with_extension("rs") {
        let mut is_test = false;
        for (number, line) in file.lines().map(|(number, line)| (number, line.trim_start())) {
            if line.starts_with("#[test") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some((_, name)) = line.split_once("fn ").filter(|_| is_test) {
                is_test = false;
                if name.starts_with("test_") {
                    violations.push(file.violation(number, "a test named `test_...`; name it by a sentence"));
                }
            }
        }
    }
    violations
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
}

#[cfg(test)]
mod tests {
    use super::super::tree::said;
    use super::*;

    #[test]
    fn an_open_end_without_a_number_is_found() {
        let text = "// TODO: later\n// TODO (#12): later\n// `TODO` is a word\n// TODOS\n// FIXME\n";
        let what = "an open end without an issue; write `(#N)` after it";
        let violations = said(open_ends_have_an_issue, &[("a.rs", text), ("Cargo.lock", text)]);
        assert_eq!(violations, [format!("a.rs:1: {what}"), format!("a.rs:5: {what}")]);
    }

    #[test]
    fn the_words_of_other_products_are_found_but_where_the_product_is_named() {
        for line in
            ["let backend = 1;", "a RealServer", "fn pick_backend_of()", "// the Upstream", "real_server"]
        {
            assert_eq!(said(one_word_for_each_thing, &[("a.rs", line)]).len(), 1, "{line}");
        }
        for line in ["LVS calls it a real server, backend elsewhere", "a real server", "backended", "server"]
        {
            assert_eq!(said(one_word_for_each_thing, &[("a.md", line)]), [""; 0], "{line}");
        }
    }

    #[test]
    fn only_tests_are_asked_for_sentences() {
        let text =
            "fn test_run() {}\n#[test]\nfn drains() {}\n    #[tokio::test]\n    async fn test_drain() {}\n";
        let violations = said(tests_are_sentences, &[("a.rs", text)]);
        assert_eq!(violations, ["a.rs:5: a test named `test_...`; name it by a sentence"]);
    }
}
