//! `cargo xtask tidy`: the invariants of the tree that a machine can check.
//!
//! One file for each group of checks. A check is a pure function of the tree, so that small texts test it.

mod boundaries;
mod documents;
mod files;
mod maps;
mod reasons;
mod tree;
mod words;

use anyhow::{Result, bail};

use crate::command::say;
use crate::workspace;
use tree::{Tree, Violation};

type Check = fn(&Tree) -> Vec<Violation>;

const CHECKS: [Check; 11] = [
    files::no_file_is_too_long,
    files::every_module_says_what_it_is_for,
    reasons::every_reason_is_in_the_runbook,
    maps::every_list_of_maps_is_the_same,
    words::open_ends_have_an_issue,
    words::one_word_for_each_thing,
    words::tests_are_sentences,
    documents::changes_are_written_down,
    documents::links_lead_somewhere,
    boundaries::borders_are_kept,
    boundaries::maps_are_declared_in_two_files,
];

/// Checks everything and prints each violation.
///
/// # Errors
/// There is a violation, or the tree cannot be read.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::read(workspace::root())?;
    let violations: Vec<_> = CHECKS.iter().flat_map(|check| check(&tree)).collect();
    for violation in &violations {
        say(&violation.to_string());
    }
    if violations.is_empty() {
        say(&format!("tidy: {} files, {} checks, no violation", tree.len(), CHECKS.len()));
        return Ok(());
    }
    bail!("the tree is not tidy: {} violations", violations.len())
}
