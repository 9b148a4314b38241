//! What the kernel's verifier said, cut to what fits a terminal, and whole in a file.

use super::error::DatapathError;
use nix::errno::Errno;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::{env, process};

/// Lines that are shown.
const SHOWN: usize = 12;

/// The error of a refused program.
pub(super) fn refusal(program: &'static str, source: &io::Error, log: &str) -> DatapathError {
    if log.is_empty() && source.raw_os_error() == Some(libc::EPERM) {
        return DatapathError::NotPermitted { doing: format!("load the {program} program") };
    }
    let errno = Errno::from_raw(source.raw_os_error().unwrap_or(0));
    DatapathError::Verifier { program, last_lines: last_lines(log), log: keep(program, log).ok(), errno }
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    lines
        .iter()
        .skip(lines.len().saturating_sub(SHOWN))
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Writes the log to a new file: an existing one, or a link that somebody put there, is an error.
fn keep(program: &str, log: &str) -> io::Result<PathBuf> {
    let path = env::temp_dir().join(format!("lb-{program}-verifier-{}.log", process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(log.as_bytes())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_lacks_a_feature_is_named_beside_the_oldest_that_has_it() {
        let log = "41: (85) call unknown#160\ninvalid func unknown#160\n";
        let error = refusal("decap", &io::Error::from_raw_os_error(libc::EINVAL), log);
        let (text, hint) = (error.to_string(), error.hint().unwrap());
        let DatapathError::Verifier { log: Some(path), .. } = error else {
            panic!("no log was kept: {text}")
        };
        std::fs::remove_file(path).unwrap();
        assert!(text.contains("invalid func unknown#160"), "{text}");
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        assert_eq!(
            hint,
            format!("Linux 6.1 is the oldest kernel that is tested; this is {}", release.trim())
        );
    }

    #[test]
    fn the_end_of_a_log_is_shown_and_the_whole_is_kept() {
        let log = (0..100).map(|line| format!("instruction {line}\n")).collect::<Vec<_>>().join("\n");
        let error = refusal("director", &io::Error::from_raw_os_error(libc::EACCES), &log);
        let text = error.to_string();
        assert!(text.contains("verifier refused it with EACCES\n"), "{text}");
        assert!(text.contains("  instruction 99\n") && text.contains("  instruction 88\n"), "{text}");
        assert!(!text.contains("instruction 87\n"), "{text}");
        let DatapathError::Verifier { log: Some(path), .. } = error else {
            panic!("no log was kept: {text}")
        };
        assert!(text.ends_with(&path.display().to_string()), "{text}");
        let kept = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(kept, log);
    }
}
