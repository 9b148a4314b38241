//! Points before and after each write of the store and of the kernel, at which a test stops or fails the process.
//!
//! Debug builds only, and only where the environment variable `LB_FAULT` asks for it:
//!
//! * `kill:N` kills the process (SIGKILL) at the N-th point that it passes,
//! * `fail:N` makes the N-th write fail with EIO before it is begun,
//! * `count:FILE` appends a line to FILE for each point: `before` or `after`, and what is written.
//!
//! In a release build the functions are empty. What a failure or a death means is for others to know.

use std::io;

/// Does `write` between two points; `what` is written.
///
/// # Errors
///
/// What `write` gives, or EIO where a test wants it.
pub fn around<T>(what: &'static str, write: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    before(what)?;
    let written = write()?;
    after(what);
    Ok(written)
}

#[cfg(debug_assertions)]
pub use points::{after, before};

/// The point before `what` is written.
///
/// # Errors
///
/// None.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn before(_what: &'static str) -> io::Result<()> {
    Ok(())
}

/// The point after `what` was written.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn after(_what: &'static str) {}

#[cfg(debug_assertions)]
mod points {
    use nix::sys::signal::{Signal, raise};
    use std::fs::OpenOptions;
    use std::io::{self, Write as _};
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static FAULT: LazyLock<Option<Fault>> = LazyLock::new(asked_for);

    /// The point before `what` is written.
    ///
    /// # Errors
    ///
    /// EIO, if this is the write that is to fail.
    pub fn before(what: &'static str) -> io::Result<()> {
        FAULT.as_ref().map_or(Ok(()), |fault| fault.pass("before", what))
    }

    /// The point after `what` was written.
    pub fn after(what: &'static str) {
        // Nothing fails after a write.
        FAULT.as_ref().map(|fault| fault.pass("after", what).ok());
    }

    fn asked_for() -> Option<Fault> {
        let asked = std::env::var("LB_FAULT").ok().filter(|asked| !asked.is_empty())?;
        let fault = Fault::new(&asked);
        if fault.is_none() {
            tracing::error!("cannot use LB_FAULT={asked}");
        }
        fault
    }

    /// What happens at which point.
    #[derive(Debug)]
    pub(super) struct Fault {
        kind: Kind,
        passed: AtomicU64,
    }

    #[derive(Debug)]
    enum Kind {
        Kill(u64),
        Fail(u64),
        Count(PathBuf),
    }

    impl Fault {
        pub(super) fn new(asked: &str) -> Option<Self> {
            let kind = match asked.split_once(':')? {
                ("kill", number) => Kind::Kill(number.parse().ok()?),
                ("fail", number) => Kind::Fail(number.parse().ok()?),
                ("count", file) => Kind::Count(file.into()),
                _ => return None,
            };
            Some(Self { kind, passed: AtomicU64::new(0) })
        }

        pub(super) fn pass(&self, side: &'static str, what: &'static str) -> io::Result<()> {
            let passed = || self.passed.fetch_add(1, Ordering::Relaxed) + 1;
            match &self.kind {
                Kind::Kill(number) if passed() == *number => raise(Signal::SIGKILL).map_err(io::Error::from),
                Kind::Fail(number) if side == "before" && passed() == *number => {
                    Err(io::Error::from_raw_os_error(libc::EIO))
                }
                Kind::Kill(_) | Kind::Fail(_) => Ok(()),
                Kind::Count(file) => {
                    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
                    file.write_all(format!("{side} {what}\n").as_bytes())
                }
            }
        }
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::points::Fault;

    #[test]
    fn the_write_of_this_number_fails_and_no_other() {
        let fault = Fault::new("fail:3").unwrap();
        let failed = (1..=5).map(|_| {
            let failed = fault.pass("before", "a map").is_err();
            assert!(fault.pass("after", "a map").is_ok());
            failed
        });
        assert_eq!(failed.collect::<Vec<_>>(), [false, false, true, false, false]);
    }

    #[test]
    fn each_point_is_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("points");
        let fault = Fault::new(&format!("count:{}", file.display())).unwrap();
        fault.pass("before", "the store").unwrap();
        fault.pass("after", "the store").unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap(), "before the store\nafter the store\n");
    }

    #[test]
    fn what_is_no_fault_is_none() {
        for text in ["kill", "kill:", "kill:x", "fail:-1", "stop:1"] {
            assert!(Fault::new(text).is_none(), "{text}");
        }
    }
}
