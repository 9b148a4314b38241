//! The documents: the change log has a place for the next change, and links lead somewhere.

use super::tree::{Source, Tree, Violation};

const CHANGES: &str = "CHANGELOG.md";

/// There is a change log with a section for what is not released yet.
pub(super) fn changes_are_written_down(tree: &Tree) -> Vec<Violation> {
    let Some(changes) = tree.file(CHANGES) else {
        return vec![Violation::absent(CHANGES, "what changed for users, a section for each release")];
    };
    let begun =
        changes.text.lines().any(|line| matches!(line.trim_end(), "## Unreleased" | "## [Unreleased]"));
    let what = "has no section `## Unreleased`; add it at the top";
    if begun { Vec::new() } else { vec![changes.violation(1, what)] }
}

/// Relative links in documents lead to a file or directory of the tree.
pub(super) fn links_lead_somewhere(tree: &Tree) -> Vec<Violation> {
    tree.with_extension("md").flat_map(|file| dead_links(tree, file)).collect()
}

fn dead_links(tree: &Tree, file: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut in_code = false;
    for (number, line) in file.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        let dead = relative_targets(line).filter(|target| !leads_somewhere(tree, &file.path, target));
        let what = |target| format!("the link to {target} leads nowhere; correct it");
        violations.extend(dead.filter(|_| !in_code).map(|target| file.violation(number, what(target))));
    }
    violations
}

/// The targets of the line's links that are paths, without their anchors.
fn relative_targets(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let paths = targets.map(|target| target.split('#').next().unwrap_or_default());
    paths.filter(|path| !path.is_empty() && !path.contains(':'))
}

fn leads_somewhere(tree: &Tree, from: &str, target: &str) -> bool {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if let Some(absolute) = target.strip_prefix('/') {
        return tree.has(absolute);
    }
    for part in target.split('/') {
        match part {
            ".." if parts.pop().is_none() => return false,
            "" | "." | ".." => {}
            name => parts.push(name),
        }
    }
    tree.has(&parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::tree::said;
    use super::*;

    #[test]
    fn a_change_log_without_a_place_for_changes_is_found() {
        assert_eq!(said(changes_are_written_down, &[(CHANGES, "# Changes\n\n## Unreleased\n")]), [""; 0]);
        let violations = said(changes_are_written_down, &[(CHANGES, "# Changes\n\n## 0.1.0\n")]);
        assert_eq!(violations, ["CHANGELOG.md:1: has no section `## Unreleased`; add it at the top"]);
        assert!(said(changes_are_written_down, &[])[0].starts_with("CHANGELOG.md:1: is missing"));
    }

    #[test]
    fn links_are_followed_from_the_document_that_has_them() {
        let document = "[up](../README.md#install) [here](operations.md) [out](https://example.com/x) [down](#a)\n\
                        [directory](decisions/) and [title](operations.md \"words\")\n```\n[code](nowhere.md)\n```\n";
        let tree = [
            ("docs/a.md", document),
            ("README.md", ""),
            ("docs/operations.md", ""),
            ("docs/decisions/1.md", ""),
        ];
        assert_eq!(said(links_lead_somewhere, &tree), [""; 0]);
    }

    #[test]
    fn a_link_to_what_is_not_there_is_found() {
        let violations = said(links_lead_somewhere, &[("docs/a.md", "x\n[a](b.md) [c](../../d.md)\n")]);
        assert_eq!(
            violations,
            [
                "docs/a.md:2: the link to b.md leads nowhere; correct it",
                "docs/a.md:2: the link to ../../d.md leads nowhere; correct it"
            ]
        );
    }
}
