//! Named network namespaces: making, entering, removing, and the processes inside.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait::settles;

/// Where `ip netns` keeps its names.
pub(super) const DIRECTORY: &str = "/run/netns";

/// A namespace that `ip netns` can name, open so that entering it does not depend on the name.
#[derive(Debug)]
pub(super) struct Netns {
    pub(super) name: String,
    file: File,
}

impl Netns {
    /// Makes the namespace `name`.
    pub(super) fn create(name: &str) -> Result<Self> {
        ip_netns("add", name)?;
        let path = path(name);
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self { name: name.to_owned(), file })
    }

    /// Moves the calling thread, and nothing else, into the namespace.
    pub(super) fn enter(&self) -> io::Result<()> {
        setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
    }

    /// A second handle to the same namespace.
    pub(super) fn try_clone(&self) -> Result<Self> {
        let file = self.file.try_clone().with_context(|| format!("cannot reopen namespace {}", self.name))?;
        Ok(Self { name: self.name.clone(), file })
    }
}

/// The names of all namespaces that begin with `prefix`.
pub(super) fn names_with_prefix(prefix: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(DIRECTORY) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(prefix)).collect()
}

/// Kills every process inside the namespace `name`, waits for their end, and removes the namespace, if there is one.
pub(super) fn remove(name: &str) -> Result<()> {
    let Ok(inode) = fs::metadata(path(name)).map(|metadata| metadata.ino()) else { return Ok(()) };
    if !settles(Duration::from_secs(5), || kill_inside(inode) == 0) {
        bail!("cannot remove namespace {name}: its processes {:?} do not end", processes_inside(inode));
    }
    ip_netns("delete", name)
}

/// The path of the namespace `name`, for `nsenter --net=`.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// Kills the processes inside; gives how many there were.
fn kill_inside(inode: u64) -> usize {
    let processes = processes_inside(inode);
    for &process in &processes {
        // One that ended in between is what is wanted.
        kill(process, Signal::SIGKILL).ok();
    }
    processes.len()
}

/// The processes whose main thread is in the namespace with this inode, without the caller.
fn processes_inside(inode: u64) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.map(Pid::from_raw)
        .filter(|&pid| pid != Pid::this())
        .filter(|pid| fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|found| found.ino() == inode))
        .collect()
}

fn ip_netns(verb: &str, name: &str) -> Result<()> {
    let output = Command::new("ip").args(["netns", verb, name]).process_group(0).output();
    let output = output.with_context(|| format!("cannot run `ip netns {verb} {name}`"))?;
    if !output.status.success() {
        bail!("`ip netns {verb} {name}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
