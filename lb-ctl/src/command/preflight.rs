//! What `attach` can know before it starts an agent, so that a hopeless one is never started.

use crate::api::Failure;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use nix::sys::statfs::{FsType, statfs};
use nix::unistd::{AccessFlags, access};
use std::fs;
use std::path::Path;

/// `BPF_FS_MAGIC` of linux/magic.h.
const BPF_FS: FsType = FsType(0xcafe_4a11);

/// Ethernet, in `linux/if_arp.h`.
const ARPHRD_ETHER: u16 = 1;

/// Capabilities by the bits of linux/capability.h.
const NET_ADMIN: u64 = 1 << 12;
const SYS_ADMIN: u64 = 1 << 21;
const BPF: u64 = 1 << 39;

/// Checks that `interface` exists and that this process may load programs and pin them in `bpffs`.
pub(super) fn check(interface: &str, bpffs: &Path) -> Result<(), Failure> {
    let doing = format!("cannot attach to {interface}");
    check_interface(interface, &doing)?;
    check_privileges(&doing)?;
    check_bpffs(bpffs, &doing)
}

fn check_interface(interface: &str, doing: &str) -> Result<(), Failure> {
    if if_nametoindex(interface).is_err() {
        return Err(Failure::failed(format!("{doing}: there is no such interface"))
            .with_hint("`ip -brief link` lists the interfaces"));
    }
    // What cannot be told here, the agent finds out by itself.
    let Ok(addresses) = getifaddrs() else { return Ok(()) };
    let mut own = addresses.filter(|address| address.interface_name == interface);
    let kind = own.find_map(|address| Some(address.address?.as_link_addr()?.hatype()));
    match kind {
        Some(ARPHRD_ETHER) | None => Ok(()),
        Some(_) => Err(Failure::failed(format!("{doing}: it is not an Ethernet interface"))
            .with_hint("`ip -brief link` lists the interfaces")),
    }
}

/// What the agent needs before it can say anything better than that permission was denied.
pub(super) fn check_agent(state_dir: &Path) -> Result<(), Failure> {
    check_privileges("cannot run the agent")?;
    let existing = state_dir.ancestors().find(|path| path.exists()).unwrap_or_else(|| Path::new("/"));
    access(existing, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|error| {
        Failure::failed(format!(
            "cannot run the agent: cannot write in {}: {}",
            existing.display(),
            error.desc()
        ))
        .with_hint("run it as root, or give another directory with --state-dir")
    })
}

fn check_privileges(doing: &str) -> Result<(), Failure> {
    // Where the file cannot be read, the agent finds out by itself.
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return Ok(()) };
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(effective) = line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()) else {
        return Ok(());
    };
    match missing(effective) {
        None => Ok(()),
        Some(missing) => Err(Failure::failed(format!("{doing}: no privileges, {missing} is missing"))
            .with_hint("run it as root")),
    }
}

const fn missing(effective: u64) -> Option<&'static str> {
    if effective & NET_ADMIN == 0 {
        return Some("CAP_NET_ADMIN");
    }
    if effective & (SYS_ADMIN | BPF) == 0 { Some("CAP_BPF") } else { None }
}

fn check_bpffs(bpffs: &Path, doing: &str) -> Result<(), Failure> {
    let existing = bpffs.ancestors().find(|path| path.exists()).unwrap_or_else(|| Path::new("/"));
    let found = statfs(existing).map_err(|error| {
        Failure::failed(format!("{doing}: cannot look at {}: {}", existing.display(), error.desc()))
    })?;
    if found.filesystem_type() == BPF_FS {
        return Ok(());
    }
    let mount = bpffs.parent().unwrap_or(bpffs).display();
    Err(Failure::failed(format!("{doing}: no BPF file system is mounted at {mount}"))
        .with_hint(format!("`mount -t bpf bpf {mount}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_capability_is_named() {
        let rows = [
            (0, Some("CAP_NET_ADMIN")),
            (NET_ADMIN, Some("CAP_BPF")),
            (BPF, Some("CAP_NET_ADMIN")),
            (NET_ADMIN | BPF, None),
            (NET_ADMIN | SYS_ADMIN, None),
            (u64::MAX, None),
        ];
        for (effective, want) in rows {
            assert_eq!(missing(effective), want, "{effective:x}");
        }
    }

    #[test]
    fn an_unknown_interface_is_named() {
        let failure = check_interface("no-such-if0", "cannot attach to no-such-if0").unwrap_err();
        assert_eq!(failure.message, "cannot attach to no-such-if0: there is no such interface");
    }

    #[test]
    fn the_loopback_interface_is_no_ethernet() {
        let failure = check_interface("lo", "cannot attach to lo").unwrap_err();
        assert_eq!(failure.message, "cannot attach to lo: it is not an Ethernet interface");
    }

    #[test]
    fn another_file_system_gets_the_mount_command() {
        let directory = tempfile::tempdir().unwrap();
        let failure = check_bpffs(&directory.path().join("bpf/lb"), "cannot attach to eth0").unwrap_err();
        let mount = directory.path().join("bpf");
        assert!(failure.message.contains("no BPF file system"), "{failure}");
        assert_eq!(failure.hint.unwrap(), format!("`mount -t bpf bpf {0}`", mount.display()));
    }
}
