//! A lab of network namespaces: machines, the wires between them, and the servers that run on them.
//!
//! A [`Lab`] is a set of machines ([`Host`]) that only this process uses; many labs can live side by side. Dropping it
//! ends every process inside and removes every trace; what a killed process could not remove, the next lab does
//! ([`remove_abandoned`]). Needs root, iproute2, and nothing else; [`nginx`] and [`named`] run the real servers.

mod child;
mod device;
mod host;
pub mod http;
pub mod lb_ctl;
pub mod named;
mod netns;
pub mod nginx;
mod pass;
mod pattern;
mod remains;
mod segment;
mod server;
pub mod site;
pub mod systemd;
mod traffic;
mod wait;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use anyhow::{Result, bail};

pub use child::ChildGuard;
pub use host::Host;
pub use pattern::Pattern;
use remains::Claim;
pub use remains::{remove_abandoned, remove_kept};
pub use segment::{Port, Segment};
pub use traffic::Traffic;
pub use wait::{has_ended, interrupt, interrupted, wait_for, wait_until};

static LABS: AtomicU32 = AtomicU32::new(0);

/// A set of machines and wires, gone when dropped.
#[derive(Debug)]
pub struct Lab {
    id: String,
    claim: Claim,
    devices: AtomicU16,
    kept: bool,
}

impl Lab {
    /// Makes an empty lab; `name` shows in the names of its namespaces. Removes what killed processes left first.
    ///
    /// # Errors
    /// The caller is not root, or leftovers cannot be removed.
    pub fn new(name: &str) -> Result<Self> {
        require_root()?;
        remove_abandoned()?;
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}{name}-{}-{number}", remains::PREFIX, std::process::id());
        let lab = Self { claim: Claim::create(&id)?, id, devices: AtomicU16::new(1), kept: false };
        lb_ctl::mount_bpffs(&lab.bpffs())?;
        pass::pin(&lab.pass_program())?;
        Ok(lab)
    }

    /// The name that all its namespaces begin with.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The directory of the lab; the hosts' directories are in it.
    pub fn directory(&self) -> &Path {
        &self.claim.directory
    }

    /// Makes the machine `name`, with a BPF file system of its own and without any interface but `lo`.
    ///
    /// # Errors
    /// The name is taken in this lab, or the kernel refuses.
    pub fn host(&self, name: &str) -> Result<Host> {
        let host = self.bare_host(name)?;
        lb_ctl::mount_bpffs(&host.directory().join(lb_ctl::BPFFS))?;
        Ok(host)
    }

    /// Makes a switch: a bridge in a namespace of its own.
    ///
    /// # Errors
    /// As [`Lab::host`].
    pub fn segment(&self, name: &str) -> Result<Segment<'_>> {
        let switch = self.bare_host(name)?;
        switch.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
        Segment::create(self, &switch, "bridge")
    }

    /// Makes a switch inside `host`, which is a member of it itself through the interface `bridge`.
    ///
    /// # Errors
    /// The name is taken, or the kernel refuses.
    pub fn segment_on(&self, host: &Host, bridge: &str) -> Result<Segment<'_>> {
        Segment::create(self, host, bridge)
    }

    /// Leaves everything standing when the lab is dropped, unless by an [`interrupt`]; [`remove_kept`] removes it.
    ///
    /// # Errors
    /// The mark cannot be written.
    pub fn keep(&mut self) -> Result<()> {
        self.claim.mark_kept()?;
        self.kept = true;
        Ok(())
    }

    /// A BPF file system that belongs to no machine.
    fn bpffs(&self) -> PathBuf {
        self.directory().join(".bpf")
    }

    /// Where the program of [`pass`] is pinned.
    fn pass_program(&self) -> PathBuf {
        self.bpffs().join("pass")
    }

    /// A number that no other device of this lab has, from 1.
    fn next_device(&self) -> u16 {
        self.devices.fetch_add(1, Ordering::Relaxed)
    }

    fn bare_host(&self, name: &str) -> Result<Host> {
        let directory = self.directory().join(name);
        if fs::exists(&directory).unwrap_or(false) {
            bail!("cannot make the machine {name}: the lab has one");
        }
        Host::create(name, &format!("{}-{name}", self.id), &directory)
    }
}

/// Whether this process may make labs.
///
/// # Errors
/// It is not root.
pub fn require_root() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("cannot make network namespaces: not root\nhint:  run it through sudo");
    }
    Ok(())
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.kept && !interrupted() {
            return;
        }
        if let Err(error) = self.claim.remove() {
            report(&format!("lab {}: {error:#}", self.id));
        }
    }
}

#[expect(clippy::print_stderr, reason = "a destructor has nobody to return an error to")]
fn report(message: &str) {
    eprintln!("{message}");
}
