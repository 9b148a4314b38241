//! Running other programs, each printed before it runs, and the lines for the person at the terminal.

use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context as _, Error, Result, bail};
use lb_tests::lab;

use crate::workspace;

/// Whether the standard output is for a program that reads it.
static TO_STDERR: AtomicBool = AtomicBool::new(false);

/// Has [`say`] and the programs that run from now on write to the standard error.
pub(crate) fn keep_stdout_clean() {
    TO_STDERR.store(true, Relaxed);
}

/// Prints one line for the person who started the task.
#[expect(
    clippy::print_stdout,
    reason = "what a unit test says this way is captured, and not counted as a result"
)]
pub(crate) fn say(line: &str) {
    if TO_STDERR.load(Relaxed) {
        let _written = writeln!(io::stderr(), "{line}");
    } else {
        println!("{line}");
    }
}

/// Prints why the task failed.
pub(crate) fn complain(error: &Error) {
    let _written = writeln!(io::stderr(), "error: {error:#}");
}

/// The cargo that runs this task, in the directory of the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(workspace::root());
    command
}

/// Runs `command` with its output on the terminal; its failure is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = announce(command);
    if TO_STDERR.load(Relaxed) {
        command.stdout(io::stderr());
    }
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot run `{shown}`"))?;
    if status.success() { Ok(()) } else { bail!("`{shown}` failed: {status}") }
}

/// As [`run`], and `see` gets each line of the standard output, which is also printed.
pub(crate) fn run_seeing(command: &mut Command, see: &mut dyn FnMut(&str)) -> Result<()> {
    lines(command, &mut |line| {
        say(line);
        see(line);
        Ok(())
    })
}

/// As [`run`], but `take` gets each line of the standard output instead of the terminal. When it fails, nobody reads on, and
/// the end of the command is waited for.
pub(crate) fn lines(command: &mut Command, take: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
    let shown = announce(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run `{shown}`"))?;
    let taken = child.stdout.take().map(|output| {
        BufReader::new(output).split(b'\n').try_for_each(|line| {
            let line = line.with_context(|| format!("cannot read what `{shown}` writes"))?;
            take(&String::from_utf8_lossy(&line))
        })
    });
    let status = child.wait().with_context(|| format!("cannot wait for `{shown}`"))?;
    taken.unwrap_or(Ok(()))?;
    if status.success() { Ok(()) } else { bail!("`{shown}` failed: {status}") }
}

/// Writes `text` to the standard output, wherever [`say`] writes.
pub(crate) fn print(text: &str) -> Result<()> {
    writeln!(io::stdout(), "{text}").context("cannot write the result")
}

/// The standard output of `command`, which is not printed; its failure is an error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed: {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` printed something that is not text"))
}

/// Where `program` is in the search path, or `None`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(program)).find(|candidate| candidate.is_file())
}

/// From now on Ctrl-C, SIGTERM and SIGHUP do not end the task: waits for the lab fail, and what was made is removed on the
/// way out.
pub(crate) fn on_signals() -> Result<()> {
    ctrlc::set_handler(lab::interrupt).context("cannot handle signals")
}

fn announce(command: &Command) -> String {
    let shown = shown(command);
    say(&format!("$ {shown}"));
    shown
}

/// The command as a person would type it, but for the environment.
fn shown(command: &Command) -> String {
    let program = command.get_program();
    let cargo = env::var_os("CARGO");
    let program = if cargo.as_deref() == Some(program) { "cargo".as_ref() } else { program };
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_seen_and_a_failure_is_told() {
        let mut seen = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two; exit 3"]);
        let error = run_seeing(&mut command, &mut |line| seen.push(line.to_owned())).unwrap_err();
        assert_eq!(seen, ["one", "two"]);
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }

    #[test]
    fn a_command_whose_lines_are_refused_ends_before_that_is_told() {
        let file = env::temp_dir().join(format!("xtask-lines-{}", std::process::id()));
        let script =
            format!("trap '' PIPE; while echo one 2>/dev/null; do :; done; touch {}", file.display());
        let refused = lines(Command::new("sh").args(["-c", &script]), &mut |line| bail!("no {line}"));
        assert_eq!(refused.unwrap_err().to_string(), "no one");
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = output(&mut Command::new("lb-no-such-program")).unwrap_err();
        assert_eq!(error.to_string(), "cannot run `lb-no-such-program`");
        assert_eq!(find("lb-no-such-program"), None);
    }
}
