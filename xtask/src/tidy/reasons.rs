//! Every reason of a verdict is explained to the operator.

use super::tree::{Source, Tree, Violation};

const REASONS: &str = "lb-common/src/verdict.rs";
const RUNBOOK: &str = "docs/operations.md";

/// Every word of a reason begins a line of the runbook.
pub(super) fn every_reason_is_in_the_runbook(tree: &Tree) -> Vec<Violation> {
    let Some(source) = tree.file(REASONS) else {
        return vec![Violation::absent(REASONS, "the reasons of verdicts")];
    };
    let Some(runbook) = tree.file(RUNBOOK) else {
        return vec![Violation::absent(RUNBOOK, "what an operator does about each reason")];
    };
    let words = words(source);
    if words.is_empty() {
        return vec![source.violation(1, "has no `reasons!` list that tidy can read; teach it the new form")];
    }
    let explained: Vec<&str> = runbook.text.lines().flat_map(subjects).collect();
    let silent = words.iter().filter(|(_, word)| !explained.contains(word));
    let what = |word| {
        format!(
            "the reason `{word}` has no line in {RUNBOOK}; add `| `{word}` | what it means, what to do |`"
        )
    };
    silent.map(|(line, word)| source.violation(*line, what(word))).collect()
}

/// The words of the list that the macro `reasons!` gets, with their lines.
fn words(source: &Source) -> Vec<(usize, &str)> {
    let list = source.lines().skip_while(|(_, line)| !line.starts_with("reasons!"));
    let rows = list.skip(1).take_while(|(_, line)| !line.starts_with('}'));
    rows.filter_map(|(number, line)| Some((number, line.split('"').nth(1)?))).collect()
}

/// The words in backquotes at the beginning of a table row, list item or heading.
fn subjects(line: &str) -> Vec<&str> {
    let mut rest = line.trim_start_matches(['|', '*', '-', '#', ' ']);
    let mut subjects = Vec::new();
    while let Some((word, after)) = rest.strip_prefix('`').and_then(|rest| rest.split_once('`')) {
        subjects.push(word);
        rest = after.trim_start_matches([',', '/', ' ']);
    }
    subjects
}

#[cfg(test)]
mod tests {
    use super::super::tree::said;
    use super::*;

    const VERDICT: &str = "macro_rules! reasons {\n}\nreasons! {\n    NotIp = 0, Pass, \"not-ip\", \"Neither.\";\n    \
                           TooBig = 1, Refuse, \"too-big\", \"Larger.\";\n}\nconst X: &str = \"other\";\n";

    #[test]
    fn a_reason_without_a_line_is_found_where_it_is_made() {
        let tree = [(REASONS, VERDICT), (RUNBOOK, "| `not-ip` | ARP |\n\nSee `too-big`.\n")];
        let violations = said(every_reason_is_in_the_runbook, &tree);
        assert_eq!(violations.len(), 1);
        assert!(violations[0].starts_with("lb-common/src/verdict.rs:5: the reason `too-big` has no line"));
    }

    #[test]
    fn rows_items_and_headings_explain() {
        for runbook in
            ["| `not-ip`, `too-big` | fine |", "* `too-big`: x\n* `not-ip`: y", "### `not-ip`\n### `too-big`"]
        {
            assert_eq!(
                said(every_reason_is_in_the_runbook, &[(REASONS, VERDICT), (RUNBOOK, runbook)]),
                [""; 0]
            );
        }
    }

    #[test]
    fn a_runbook_or_a_list_that_is_not_there_is_found() {
        let violations = said(every_reason_is_in_the_runbook, &[(REASONS, VERDICT)]);
        assert!(violations[0].starts_with("docs/operations.md:1: is missing"));
        let violations = said(every_reason_is_in_the_runbook, &[(REASONS, "enum Reason {}"), (RUNBOOK, "")]);
        assert!(violations[0].contains("has no `reasons!` list"));
    }
}
