//! Counting what passed and failed, and reading the counts from what cargo prints.

use std::iter::Sum;
use std::ops::Add;
use std::process::Command;

use crate::command::{run, run_watched, say};

/// How many checks or tests ended which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Ran, and right.
    pub(crate) passed: usize,
    /// Ran and wrong, or could not be run.
    pub(crate) failed: usize,
    /// Did not run.
    pub(crate) ignored: usize,
}

impl Tally {
    /// What could not be run counts as one failure.
    pub(super) const FAILURE: Self = Self { passed: 0, failed: 1, ignored: 0 };

    /// `passed` tests, and none that failed.
    pub(super) fn passed(passed: usize) -> Self {
        Self { passed, ..Self::default() }
    }

    /// How many ran.
    pub(super) fn ran(self) -> usize {
        self.passed + self.failed
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), Add::add)
    }
}

/// Runs a command that is one check.
pub(super) fn check(command: &mut Command) -> Tally {
    match run(command) {
        Ok(()) => Tally::passed(1),
        Err(error) => {
            say(&format!("error: {error:#}"));
            Tally::FAILURE
        }
    }
}

/// Runs a `cargo test` and counts its tests.
pub(super) fn tests(command: &mut Command) -> Tally {
    let mut tally = Tally::default();
    let result = run_watched(command, &mut |line| tally = tally + results(line).unwrap_or_default());
    if let Err(error) = &result {
        say(&format!("error: {error:#}"));
    }
    judged(tally, result.is_ok())
}

/// The tally of a run that ended well or not: a run without tests, or a failure that no test showed, is a failure.
fn judged(tally: Tally, succeeded: bool) -> Tally {
    if tally.ran() == 0 {
        say("error: no test ran");
        return tally + Tally::FAILURE;
    }
    if tally.failed == 0 && !succeeded { tally + Tally::FAILURE } else { tally }
}

/// The counts of a line `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
fn results(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |word: &str| {
        let counts = counts.split(';').filter_map(|part| part.trim().split_once(' '));
        counts.filter(|(_, what)| *what == word).find_map(|(number, _)| number.parse().ok())
    };
    Some(Tally { passed: count("passed")?, failed: count("failed")?, ignored: count("ignored")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.01s";

    fn shell(script: &str) -> Tally {
        let mut command = Command::new("sh");
        super::tests(command.args(["-c", script]))
    }

    #[test]
    fn the_counts_of_a_result_line_are_read() {
        assert_eq!(results(LINE), Some(Tally { passed: 3, failed: 2, ignored: 1 }));
        assert_eq!(results("test cases::one ... ok"), None);
        assert_eq!(results("test result: unreadable"), None);
    }

    #[test]
    fn the_results_of_several_executables_add_up() {
        let tally = shell(&format!("echo '{LINE}'; echo '{LINE}'; exit 101"));
        assert_eq!(tally, Tally { passed: 6, failed: 4, ignored: 2 });
    }

    #[test]
    fn a_run_without_tests_is_a_failure() {
        let empty = "test result: ok. 0 passed; 0 failed; 7 ignored; 0 measured; 0 filtered out";
        assert_eq!(shell(&format!("echo '{empty}'")), Tally { passed: 0, failed: 1, ignored: 7 });
        assert_eq!(shell("true"), Tally::FAILURE);
    }

    #[test]
    fn a_failure_that_no_test_shows_is_counted() {
        let passed = "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(shell(&format!("echo '{passed}'; exit 101")), Tally { passed: 2, failed: 1, ignored: 0 });
    }

    #[test]
    fn a_check_is_one_however_it_ends() {
        assert_eq!(check(&mut Command::new("true")), Tally::passed(1));
        assert_eq!(check(&mut Command::new("false")), Tally::FAILURE);
        assert_eq!(check(&mut Command::new("no-such-program")), Tally::FAILURE);
    }
}
