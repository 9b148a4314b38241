//! What the program logs about single packets, when it was loaded to do so.

use super::error::{DatapathError, Result};
use aya::Ebpf;
use aya_log::EbpfLogger;
use lb_common::verdict::of_index;
use log::{Log, Metadata, Record};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// The reader of the program's log. Its descriptor becomes readable when there are messages.
pub struct DebugLog(EbpfLogger<Forward>);

impl DebugLog {
    /// The log of a loaded program.
    pub(super) fn take(object: &mut Ebpf) -> Result<Self> {
        EbpfLogger::init_with_logger(object, Forward).map(Self).map_err(|error| DatapathError::Object {
            program: "director",
            problem: format!("it has no log: {error}"),
        })
    }

    /// Hands the messages that there are to `tracing`, at level debug and with target `director`.
    pub fn flush(&mut self) {
        self.0.flush();
    }
}

impl AsFd for DebugLog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for DebugLog {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl fmt::Debug for DebugLog {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("DebugLog").field(&self.as_raw_fd()).finish()
    }
}

/// The bridge from `log`, which aya speaks, to `tracing`.
struct Forward;

impl Log for Forward {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        tracing::debug!(target: "director", "{}", named(&record.args().to_string()));
    }

    fn flush(&self) {}
}

/// The program's line `verdict 75 service 4 server 0` with the reason's word in place of its number.
fn named(line: &str) -> String {
    let parts = line.strip_prefix("verdict ").and_then(|rest| rest.split_once(' '));
    let verdict = parts.and_then(|(index, rest)| Some((of_index(index.parse().ok()?)?, rest)));
    match verdict {
        Some(((reason, true), rest)) => format!("verdict {} answered {rest}", reason.word()),
        Some(((reason, false), rest)) => format!("verdict {} {rest}", reason.word()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_reason() {
        let rows = [
            ("verdict 7 service 4 server 6", "verdict forwarded-dr service 4 server 6"),
            ("verdict 11 service 4 server 0", "verdict no-server service 4 server 0"),
            ("verdict 75 service 4 server 0", "verdict no-server answered service 4 server 0"),
            ("verdict 63 service 4 server 0", "verdict 63 service 4 server 0"),
            ("another line", "another line"),
        ];
        for (line, want) in rows {
            assert_eq!(named(line), want);
        }
    }
}
