//! A machine of the lab that systemd runs: its own process tree, its own files, the machine's network.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::wait::{settles, wait_for};
use super::{ChildGuard, Host, lb_ctl};

const SCRIPT: &str = include_str!("systemd.sh");
/// What a shell needs to become a machine: a control group ($0), and what comes after it.
const START: &str = "echo $$ >$0/cgroup.procs && exec unshare --pid --fork --kill-child --mount --cgroup --uts --ipc \
                     --propagation private sh \"$@\"";
/// Longest time that it takes to boot, and to end.
const DEADLINE: Duration = Duration::from_secs(30);

/// systemd as the first process inside a machine; it ends, with all that it runs, when this is dropped.
#[derive(Debug)]
pub struct Systemd<'host> {
    host: &'host Host,
    /// The process outside that waits for it.
    outside: ChildGuard,
    /// systemd, as seen from outside.
    pid: String,
    group: PathBuf,
}

impl<'host> Systemd<'host> {
    /// Boots systemd on `host`, with `lb-ctl` in `/usr/local/sbin` and the units in the directory `units` installed.
    ///
    /// # Errors
    /// systemd is not installed, there is no control group file system (version 2), or the boot fails.
    pub fn boot(host: &'host Host, units: &Path) -> Result<Self> {
        let group = control_groups()?.join(host.netns());
        fs::create_dir(&group).with_context(|| format!("cannot make {}", group.display()))?;
        let (root, script) = (host.directory().join("root"), host.directory().join("systemd.sh"));
        fs::create_dir(&root).and_then(|()| fs::write(&script, SCRIPT)).context("cannot write the script")?;
        let lb_ctl = lb_ctl::binary()?;
        let paths = [&group, &script, &root, &lb_ctl, units].map(|path: &Path| path.to_string_lossy());
        let argv = ["sh", "-c", START].into_iter().chain(paths.iter().map(AsRef::as_ref)).collect::<Vec<_>>();
        let outside = host.spawn("systemd", &argv)?;
        let children = format!("/proc/{0}/task/{0}/children", outside.pid());
        let mut machine = Self { host, outside, pid: String::new(), group };
        machine.pid = wait_for(DEADLINE, "the first process", || {
            Some(fs::read_to_string(&children).ok()?.split_whitespace().next()?.to_owned())
        })?;
        let state = wait_for(DEADLINE, "systemd to run", || {
            let state = machine.run(&["sh", "-c", "systemctl is-system-running --wait || true"]).ok()?;
            matches!(state.trim(), "running" | "degraded").then_some(state)
        });
        let state = state.with_context(|| machine.outside.log().unwrap_or_default())?;
        ensure!(state.trim() == "running", "it is {state}: {}", machine.run(&["systemctl", "--failed"])?);
        Ok(machine)
    }

    /// Runs a command inside, which has to succeed; gives its standard output.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn run(&self, argv: &[&str]) -> Result<String> {
        let enter = ["--mount", "--pid", "--uts", "--ipc", "--cgroup", "--root", "--wd"];
        let plain = ["env", "-u", "LB_SOCKET", "-u", "LB_BPFFS", "-u", "LB_STATE_DIR"];
        self.host.run(&[&["nsenter", "--target", &self.pid][..], &enter, &plain, argv].concat())
    }

    /// Runs `lb-ctl` inside with the words of `line`.
    ///
    /// # Errors
    /// As [`Systemd::run`].
    pub fn lb(&self, line: &str) -> Result<String> {
        let words = line.split_whitespace();
        self.run(&std::iter::once("/usr/local/sbin/lb-ctl").chain(words).collect::<Vec<_>>())
    }

    /// A property of a unit, from `systemctl show`.
    ///
    /// # Errors
    /// As [`Systemd::run`].
    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        let asked = format!("--property={name}");
        Ok(self.run(&["systemctl", "show", "--value", &asked, unit])?.trim().to_owned())
    }
}

impl Drop for Systemd<'_> {
    fn drop(&mut self) {
        // The kernel ends what is inside with the first process, and the group is empty then.
        self.outside.kill().ok();
        settles(DEADLINE, || remove_groups(&self.group).is_ok());
    }
}

/// Where the control groups of version 2 are.
fn control_groups() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    let mut fields = mounts.lines().map(|line| line.split(' '));
    let found = fields.find_map(|mut line| {
        let place = line.nth(1)?;
        (line.next()? == "cgroup2").then(|| place.into())
    });
    found.context("no control group file system (version 2) is mounted")
}

/// Removes a control group with those inside.
fn remove_groups(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_groups(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
