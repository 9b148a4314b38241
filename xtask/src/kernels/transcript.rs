//! What a guest said, and whether that is success.

use anyhow::{Result, bail};

use super::command::say;

/// Lines of a failed step that are shown; all of them are in the console's log.
const SHOWN: usize = 60;

/// One step of the guest's script.
struct Step {
    name: String,
    lines: Vec<String>,
    /// The exit status, or `None` where the guest died in the step.
    status: Option<u8>,
}

/// The steps of one guest, in order.
pub(super) struct Transcript {
    kernel: String,
    steps: Vec<Step>,
    complete: bool,
    before: Vec<String>,
}

impl Transcript {
    /// Reads the lines that the script in `init.sh` marks with "@@".
    pub(super) fn parse(console: &str) -> Self {
        let mut this = Self { kernel: String::new(), steps: Vec::new(), complete: false, before: Vec::new() };
        for line in console.lines() {
            // A line of the kernel's log may stand before the mark on the same line.
            match line.split_once("@@ ") {
                Some((before, mark)) => {
                    this.say(before);
                    this.mark(mark);
                }
                None => this.say(line),
            }
        }
        this
    }

    fn say(&mut self, line: &str) {
        if !line.is_empty() {
            let step = self.steps.last_mut().filter(|step| step.status.is_none());
            step.map_or(&mut self.before, |step| &mut step.lines).push(line.to_owned());
        }
    }

    fn mark(&mut self, mark: &str) {
        let words: Vec<&str> = mark.split_whitespace().collect();
        match words.as_slice() {
            ["kernel", release] => (*release).clone_into(&mut self.kernel),
            ["begin", name] => {
                self.steps.push(Step { name: (*name).to_owned(), lines: Vec::new(), status: None });
            }
            ["end", name, status] => {
                if let Some(step) = self.steps.last_mut().filter(|step| step.name == *name) {
                    step.status = status.parse().ok();
                }
            }
            ["done"] => self.complete = true,
            _ => self.say(mark),
        }
    }

    /// Prints how each step ended, and what a failed one said.
    pub(super) fn report(&self) {
        say(&format!("  the guest runs {}", self.kernel));
        for step in &self.steps {
            match step.status {
                Some(0) => say(&format!("  ok      {}{}", step.name, summary(step))),
                Some(status) => say(&format!("  FAILED  {} (exit status {status})", step.name)),
                None => say(&format!("  FAILED  {} (the guest died in it)", step.name)),
            }
            if step.status != Some(0) {
                tail(&step.lines).for_each(|line| say(&format!("          {line}")));
            }
        }
        if !self.complete {
            tail(&self.before).for_each(|line| say(&format!("  {line}")));
        }
    }

    /// The last lines of test programs, "test result: ok. 12 passed; ...".
    pub(super) fn test_results(&self) -> impl Iterator<Item = &str> {
        self.steps
            .iter()
            .flat_map(|step| &step.lines)
            .map(String::as_str)
            .filter(|line| passed(line).is_some())
    }

    /// Success is: the guest came to its end, every step ended well, and tests were really run.
    pub(super) fn judge(&self) -> Result<()> {
        if let Some(step) = self.steps.iter().find(|step| step.status != Some(0)) {
            bail!("the step {} failed", step.name);
        }
        if !self.complete {
            bail!("the guest did not come to the end of its script");
        }
        if self.test_results().filter_map(passed).sum::<usize>() == 0 {
            bail!("no program test ran");
        }
        Ok(())
    }
}

fn tail(lines: &[String]) -> impl Iterator<Item = &String> {
    lines.iter().skip(lines.len().saturating_sub(SHOWN))
}

fn summary(step: &Step) -> String {
    let line = step.lines.iter().find(|line| passed(line).is_some());
    line.map(|line| format!(": {}", line.trim_start_matches("test result: "))).unwrap_or_default()
}

/// The count in "test result: ok. 12 passed; ...", the last line of a test program.
fn passed(line: &str) -> Option<usize> {
    let counts = line.strip_prefix("test result: ")?;
    counts.split(' ').collect::<Vec<_>>().windows(2).find_map(|pair| match pair {
        [count, "passed;"] => count.parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "@@ kernel 6.1.0\n@@ begin attach\nattached\n@@ end attach 0\n@@ begin program\n\
                        test result: ok. 12 passed; 0 failed; 0 ignored\n@@ end program 0\n@@ done\n";

    fn verdict(console: &str) -> String {
        Transcript::parse(console).judge().map_or_else(|error| error.to_string(), |()| "good".to_owned())
    }

    #[test]
    fn only_a_whole_transcript_with_tests_is_success() {
        let rows = [
            ("as it should be", GOOD.to_owned(), "good"),
            ("after a line of the kernel", GOOD.replace("@@ end program", "[ 3.1] x@@ end program"), "good"),
            ("a failed step", GOOD.replace("end attach 0", "end attach 1"), "the step attach failed"),
            ("died in a step", GOOD.replace("@@ end program 0\n@@ done\n", ""), "the step program failed"),
            (
                "died between",
                GOOD.replace("@@ done\n", ""),
                "the guest did not come to the end of its script",
            ),
            ("no tests", GOOD.replace("12 passed", "0 passed"), "no program test ran"),
            ("nothing at all", String::new(), "the guest did not come to the end of its script"),
        ];
        for (name, console, expected) in rows {
            assert_eq!(verdict(&console), expected, "{name}");
        }
    }

    #[test]
    fn the_last_line_of_the_tests_is_found() {
        let transcript = Transcript::parse(GOOD);
        assert_eq!(
            transcript.test_results().collect::<Vec<_>>(),
            ["test result: ok. 12 passed; 0 failed; 0 ignored"]
        );
    }
}
