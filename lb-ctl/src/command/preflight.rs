//! What `attach` can know before it starts an agent, so that a hopeless one is never started.

use crate::agent::privileges;
use crate::api::Failure;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use nix::sys::statfs::{FsType, statfs};
use std::path::Path;

/// `BPF_FS_MAGIC` of linux/magic.h.
const BPF_FS: FsType = FsType(0xcafe_4a11);

/// Ethernet, in `linux/if_arp.h`.
const ARPHRD_ETHER: u16 = 1;

/// Checks that `interface` exists and that this process may load programs and pin them in `bpffs`.
pub(super) fn check(interface: &str, bpffs: &Path) -> Result<(), Failure> {
    let doing = format!("cannot attach to {interface}");
    check_interface(interface)?;
    privileges::check(privileges::AGENT, &doing)?;
    check_bpffs(bpffs, &doing)
}

/// Checks that `interface` exists and is an Ethernet interface.
pub(super) fn check_interface(interface: &str) -> Result<(), Failure> {
    let doing = format!("cannot attach to {interface}");
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
    fn an_unknown_interface_is_named() {
        let failure = check_interface("no-such-if0").unwrap_err();
        assert_eq!(failure.message, "cannot attach to no-such-if0: there is no such interface");
    }

    #[test]
    fn the_loopback_interface_is_no_ethernet() {
        let failure = check_interface("lo").unwrap_err();
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
