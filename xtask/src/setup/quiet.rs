//! Installing servers without starting them: the tests start their own, in namespaces.
//!
//! Debian's packages ask `policy-rc.d` whether they may start a service, and nothing else: invoke-rc.d and
//! deb-systemd-invoke take no option or variable for it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

const POLICY: &str = "/usr/sbin/policy-rc.d";
const MARK: &str = "# Made by `cargo xtask setup`";

/// While it lives, packages start no services. A policy that the machine has of its own is left as it is.
#[derive(Debug)]
pub(super) struct NoServices {
    made: Option<PathBuf>,
}

impl NoServices {
    /// Forbids it from now on.
    pub(super) fn begin() -> Result<Self> {
        Self::at(Path::new(POLICY)).with_context(|| format!("cannot make {POLICY}"))
    }

    fn at(path: &Path) -> io::Result<Self> {
        if path.exists() && !fs::read_to_string(path)?.contains(MARK) {
            return Ok(Self { made: None });
        }
        fs::write(path, policy(std::process::id()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        Ok(Self { made: Some(path.to_owned()) })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(path) = &self.made {
            // What stays behind allows everything once this process is gone, and the next setup removes it.
            fs::remove_file(path).ok();
        }
    }
}

/// Exit code 101 of a policy-rc.d: the action is forbidden.
fn policy(process: u32) -> String {
    format!(
        "#!/bin/sh\n{MARK}; of no effect once that process is gone.\n[ ! -d /proc/{process} ] || exit 101\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn place(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("xtask-policy-{name}-{}", std::process::id()))
    }

    fn verdict(path: &Path) -> Option<i32> {
        Command::new("sh").arg(path).status().unwrap().code()
    }

    #[test]
    fn services_are_forbidden_until_the_guard_is_dropped() {
        let path = place("own");
        let guard = NoServices::at(&path).unwrap();
        assert_eq!(verdict(&path), Some(101));
        drop(guard);
        assert!(!path.exists());
    }

    #[test]
    fn a_policy_of_the_machine_stays() {
        let path = place("foreign");
        fs::write(&path, "#!/bin/sh\nexit 104\n").unwrap();
        drop(NoServices::at(&path).unwrap());
        assert_eq!(verdict(&path), Some(104));
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn one_that_a_killed_setup_left_has_no_effect_and_is_replaced() {
        let path = place("left");
        fs::write(&path, policy(u32::MAX)).unwrap();
        assert_eq!(verdict(&path), Some(0));
        drop(NoServices::at(&path).unwrap());
        assert!(!path.exists());
    }
}
