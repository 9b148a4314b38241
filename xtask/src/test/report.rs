//! The summary: which layers ran, how many tests, how long.

use std::fmt;
use std::time::Duration;

use crate::command::say;

/// How many tests ended how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tests {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) ignored: usize,
}

/// One line of the summary.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// `None` for what has no tests to count.
    pub(super) tests: Option<Tests>,
    /// Whether it is one check where it has no tests; a preparation is none.
    pub(super) is_check: bool,
    pub(super) failed: bool,
    pub(super) took: Duration,
}

/// All lines.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<Row>,
}

impl Tests {
    /// Adds what `line` says, if it is the last line of a test executable.
    pub(super) fn add(&mut self, line: &str) {
        let Some(result) = line.trim().strip_prefix("test result: ") else { return };
        let parts = result.split([';', '.']).filter_map(|part| part.trim().split_once(' '));
        for (number, word) in parts {
            let Ok(number) = number.parse::<usize>() else { continue };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Tests {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed", self.passed)?;
        for (number, word) in [(self.failed, "failed"), (self.ignored, "ignored")] {
            if number > 0 {
                write!(formatter, ", {number} {word}")?;
            }
        }
        Ok(())
    }
}

impl Row {
    /// Tests that passed; a layer that is one check counts as one.
    fn passed(&self) -> usize {
        self.tests.map_or(usize::from(self.is_check && !self.failed), |tests| tests.passed)
    }

    /// Tests that failed; a layer that failed without one counts as one.
    fn failures(&self) -> usize {
        self.tests.map_or(0, |tests| tests.failed).max(usize::from(self.failed))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = if self.failed { "FAILED" } else { "passed" };
        let tests = self.tests.map_or_else(|| "-".to_owned(), |tests| tests.to_string());
        let seconds = format!("{:.1} s", self.took.as_secs_f64());
        write!(formatter, "{:<8} {outcome:<8} {seconds:>9}  {tests}", self.name)
    }
}

impl Report {
    /// Adds a line.
    pub(super) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Whether nothing failed so far.
    pub(super) fn is_good(&self) -> bool {
        self.rows.iter().all(|row| !row.failed)
    }

    /// Prints all of it; the last line is `N passed, M failed`.
    pub(super) fn print(&self) {
        say(&format!("\n{self}"));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{:<8} {:<8} {:>9}  tests", "layer", "outcome", "time")?;
        for row in &self.rows {
            writeln!(formatter, "{row}")?;
        }
        let sum = |of: fn(&Row) -> usize| self.rows.iter().map(of).sum::<usize>();
        write!(formatter, "{} passed, {} failed", sum(Row::passed), sum(Row::failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &'static str, tests: Option<Tests>, failed: bool) -> Row {
        Row { name, tests, is_check: name != "prepare", failed, took: Duration::from_millis(1_230) }
    }

    #[test]
    fn the_results_of_several_executables_are_added() {
        let mut tests = Tests::default();
        tests.add(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.02s",
        );
        tests.add("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s");
        tests.add("test result_is_read ... ok");
        assert_eq!(tests, Tests { passed: 14, failed: 1, ignored: 1 });
    }

    #[test]
    fn a_check_and_a_failure_without_a_failed_test_count_as_one() {
        let mut report = Report::default();
        report.add(row("prepare", None, false));
        report.add(row("fmt", None, false));
        report.add(row("clippy", None, true));
        report.add(row("unit", Some(Tests { passed: 7, failed: 2, ignored: 0 }), true));
        report.add(row("network", Some(Tests::default()), true));
        let text = report.to_string();
        assert_eq!(text.lines().last(), Some("8 passed, 4 failed"));
        assert!(text.contains("unit     FAILED       1.2 s  7 passed, 2 failed"), "{text}");
        assert!(!report.is_good());
    }
}
