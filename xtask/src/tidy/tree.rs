//! The files of the repository, as git knows them, and what a check says about them.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::output;

/// A file.
#[derive(Debug)]
pub(super) struct Source {
    /// Its path below the root, with slashes.
    pub(super) path: String,
    /// What is in it; empty if that is not text.
    pub(super) text: String,
}

/// All files.
#[derive(Debug)]
pub(super) struct Tree {
    files: Vec<Source>,
}

/// One line that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    path: String,
    line: usize,
    what: String,
}

impl Tree {
    /// The files below `root` that are committed, or would be by `git add --all`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut git = Command::new("git");
        // Root may test a clone that another user owns.
        git.arg("-c").arg(format!("safe.directory={}", root.display()));
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
        let paths = output(&mut git).context("cannot list the files of the tree")?;
        let mut files = Vec::new();
        for path in paths.split_terminator('\0') {
            // A file that is deleted and not yet committed is still listed.
            if root.join(path).is_file() {
                let content = fs::read(root.join(path)).with_context(|| format!("cannot read {path}"))?;
                files.push(Source::new(path, &String::from_utf8(content).unwrap_or_default()));
            }
        }
        Ok(Self { files })
    }

    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// The files whose name has this extension.
    pub(super) fn with_extension(&self, extension: &str) -> impl Iterator<Item = &Source> {
        self.files.iter().filter(move |file| file.extension() == extension)
    }

    /// The files with one of these extensions.
    pub(super) fn with_extensions(&self, extensions: &[&str]) -> impl Iterator<Item = &Source> {
        self.files.iter().filter(move |file| extensions.contains(&file.extension()))
    }

    /// The file at `path`.
    pub(super) fn file(&self, path: &str) -> Option<&Source> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether there is a file or a directory at `path`; the root is at "".
    pub(super) fn has(&self, path: &str) -> bool {
        let below = |file: &Source| file.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        path.is_empty() || self.files.iter().any(|file| file.path == path || below(file))
    }

    /// A tree of these paths and texts.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| Source::new(path, text)).collect() }
    }
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Its lines with their numbers, from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// What is wrong in line number `line`, and what to do.
    pub(super) fn violation(&self, line: usize, what: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, what: what.into() }
    }

    fn extension(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }
}

impl Violation {
    /// That the file at `path`, which a check reads, is not there.
    pub(super) fn absent(path: &str, purpose: &str) -> Self {
        Self { path: path.to_owned(), line: 1, what: format!("is missing; write it: {purpose}") }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// What `check` says about a tree of `files`, a line each.
#[cfg(test)]
pub(super) fn said(check: super::Check, files: &[(&str, &str)]) -> Vec<String> {
    check(&Tree::of(files)).iter().map(Violation::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_their_directories_are_there() {
        let tree = Tree::of(&[("docs/operations.md", "")]);
        for (path, there) in [("", true), ("docs", true), ("docs/operations.md", true), ("doc", false)] {
            assert_eq!(tree.has(path), there, "{path}");
        }
    }

    #[test]
    fn the_extension_is_that_of_the_name() {
        let tree = Tree::of(&[("a.rs/README", ""), ("b/main.rs", "")]);
        assert_eq!(
            tree.with_extension("rs").map(|file| file.path.as_str()).collect::<Vec<_>>(),
            ["b/main.rs"]
        );
    }
}
