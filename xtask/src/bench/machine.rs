//! What a run was measured on, and which tree was measured: one line.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::output;
use crate::workspace;

const MITIGATIONS: &str = "/sys/devices/system/cpu/vulnerabilities/spectre_v2";

/// The machine, the tree and the day.
///
/// # Errors
/// The kernel does not say what the machine is, or git or date cannot be run.
pub(super) fn describe() -> Result<String> {
    let cpus = read("/proc/cpuinfo")?;
    let mitigations = read(MITIGATIONS).unwrap_or_else(|_| "unknown\n".to_owned());
    let git = |arguments: &[&str]| output(Command::new("git").args(arguments).current_dir(workspace::root()));
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    let day = output(Command::new("date").args(["--utc", "+%Y-%m-%d"]))?;
    let kernel = read("/proc/sys/kernel/osrelease")?;
    Ok(line(&cpus, [&kernel, &mitigations, &commit, &day], has_changes(&changes)))
}

fn line(cpus: &str, [kernel, mitigations, commit, day]: [&str; 4], changed: bool) -> String {
    let (model, count) = cpu(cpus);
    let [kernel, mitigations, commit, day] = [kernel, mitigations, commit, day].map(str::trim);
    let with_changes = if changed { " with changes" } else { "" };
    format!(
        "{model}, {count} CPUs, Linux {kernel}; spectre_v2: {mitigations}. Commit {commit}{with_changes}, {day}."
    )
}

/// The model of the first CPU, and how many there are.
fn cpu(text: &str) -> (&str, usize) {
    let value =
        |line: &'static str| text.lines().filter_map(move |each| each.strip_prefix(line)?.split_once(": "));
    let model = value("model name").next().map_or("unknown CPU", |(_, model)| model.trim());
    (model, text.lines().filter(|line| line.starts_with("processor")).count())
}

/// Whether `git status --porcelain` names a file that may change what is measured: a document does not.
fn has_changes(status: &str) -> bool {
    status.lines().any(|line| Path::new(line).extension().is_none_or(|extension| extension != "md"))
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPUS: &str = "processor\t: 0\nmodel name\t: A CPU @ 3 GHz\nflags\t\t: fpu\n\n\
                        processor\t: 1\nmodel name\t: A CPU @ 3 GHz\n";

    #[test]
    fn a_line_names_machine_tree_and_day() {
        let rest =
            ["6.18.1\n", "Mitigation: Retpolines; STIBP: disabled\n", "0123456789ab\n", "2026-01-31\n"];
        assert_eq!(
            line(CPUS, rest, false),
            "A CPU @ 3 GHz, 2 CPUs, Linux 6.18.1; spectre_v2: Mitigation: Retpolines; STIBP: disabled. \
             Commit 0123456789ab, 2026-01-31."
        );
        assert!(line(CPUS, rest, true).ends_with("Commit 0123456789ab with changes, 2026-01-31."));
    }

    #[test]
    fn a_document_is_no_change() {
        for (status, want) in [
            ("", false),
            (" M docs/performance.md\n", false),
            (" M docs/a.md\nM  lb-ebpf/src/main.rs\n", true),
        ] {
            assert_eq!(has_changes(status), want, "{status}");
        }
    }

    #[test]
    fn this_machine_is_described() {
        let (_, count) = cpu(&read("/proc/cpuinfo").unwrap());
        assert!(count > 0);
    }
}
