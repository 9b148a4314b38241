//! A process that ends with its guard.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};

use super::wait::wait_for;

/// A process started by [`super::Host::spawn`]; dropping the guard kills it.
#[derive(Debug)]
pub struct ChildGuard {
    pub(super) child: Child,
    pub(super) log: PathBuf,
    pub(super) command: String,
}

impl ChildGuard {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file that receives what the process writes to its two outputs.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What the process has written so far.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn log(&self) -> Result<String> {
        let bytes = fs::read(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the process to end by itself.
    ///
    /// # Errors
    /// It did not within `deadline`.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let what = format!("the end of `{}`", self.command);
        wait_for(deadline, &what, || self.child.try_wait().ok().flatten())
    }

    /// Lets the process run on after this one; it ends with its lab.
    pub fn leave(self) {
        std::mem::forget(self);
    }

    /// Kills the process (SIGKILL) and reaps it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("cannot kill `{}`", self.command))?;
        self.child.wait().with_context(|| format!("cannot reap `{}`", self.command))?;
        Ok(())
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; the lab ends what is left in its namespaces.
        self.kill().ok();
    }
}
