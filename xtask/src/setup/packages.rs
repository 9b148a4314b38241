//! The Debian packages that the demo, the tests and the bench use.

use std::path::Path;

use crate::command::find;

/// What something is installed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Building the programs.
    Build,
    /// Formatting, linting, and `tidy`.
    Check,
    /// A lab of network namespaces.
    Lab,
    /// The demo with real nginx.
    Nginx,
    /// The network tests.
    Network,
    /// The bench's live frames and load, with what they are compared to.
    Bench,
}

impl Purpose {
    /// Every purpose.
    pub(crate) const ALL: [Self; 6] =
        [Self::Build, Self::Check, Self::Lab, Self::Nginx, Self::Network, Self::Bench];
}

/// A Debian package.
#[derive(Debug)]
pub(super) struct Package {
    /// Its name.
    pub(super) name: &'static str,
    /// The program that proves that it is there.
    pub(super) program: &'static str,
    /// What it is used for here.
    pub(super) why: &'static str,
    /// The service that comes with it, which the tests do not need: they start their own.
    pub(super) service: Option<&'static str>,
    purposes: &'static [Purpose],
}

use Purpose::{Bench, Check, Lab, Network, Nginx};

const PACKAGES: [Package; 13] = [
    package("git", "git", "tidy asks it for the files of the tree", &[Check]),
    package("iproute2", "ip", "sets up the machines of the lab", &[Lab, Network, Bench]),
    package("ethtool", "ethtool", "shows what the lab's devices offload", &[Network]),
    package("curl", "curl", "the HTTP client of the network tests", &[Network]),
    package(
        "nginx",
        "nginx",
        "the web server of the network tests, of the bench and of `demo --nginx`",
        &[Nginx, Network, Bench],
    )
    .with_service("nginx"),
    package("bind9", "named", "the DNS server of the network tests", &[Network]).with_service("named"),
    package("bind9-dnsutils", "dig", "the DNS client of the network tests", &[Network]),
    package("tcpdump", "tcpdump", "shows the outer sources of tunnels in the network tests", &[Network]),
    package(
        "systemd",
        "systemd-analyze",
        "checks the units, and runs the agent's in the network tests",
        &[Network],
    ),
    package("iputils-ping", "ping", "shows who reaches whom in the network tests", &[Network]),
    package("wrk", "wrk", "the client of the bench", &[Bench]),
    package("nftables", "nft", "another balancer beside the director in the bench", &[Bench]),
    package("haproxy", "haproxy", "another balancer beside the director in the bench", &[Bench])
        .with_service("haproxy"),
];

const fn package(
    name: &'static str,
    program: &'static str,
    why: &'static str,
    purposes: &'static [Purpose],
) -> Package {
    Package { name, program, why, service: None, purposes }
}

impl Package {
    const fn with_service(mut self, service: &'static str) -> Self {
        self.service = Some(service);
        self
    }
}

/// The packages for one of `purposes` that are not there.
pub(super) fn missing(purposes: &[Purpose]) -> Vec<&'static Package> {
    missing_where(purposes, is_there)
}

fn missing_where(purposes: &[Purpose], is_there: impl Fn(&str) -> bool) -> Vec<&'static Package> {
    let wanted =
        PACKAGES.iter().filter(|package| package.purposes.iter().any(|purpose| purposes.contains(purpose)));
    wanted.filter(|package| !is_there(package.program)).collect()
}

/// Debian keeps the directories of servers out of an ordinary user's search path.
fn is_there(program: &str) -> bool {
    find(program).is_some()
        || ["/usr/sbin", "/sbin"].iter().any(|directory| Path::new(directory).join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(purposes: &[Purpose], there: &[&str]) -> Vec<&'static str> {
        missing_where(purposes, |program| there.contains(&program))
            .iter()
            .map(|package| package.name)
            .collect()
    }

    #[test]
    fn what_is_missing_is_what_the_purpose_wants_and_the_machine_lacks() {
        assert_eq!(names(&[Lab], &[]), ["iproute2"]);
        assert_eq!(names(&[Lab, Nginx], &["ip"]), ["nginx"]);
        assert_eq!(
            names(
                &[Network],
                &["ip", "ethtool", "curl", "nginx", "dig", "ping", "tcpdump", "systemd-analyze"]
            ),
            ["bind9"]
        );
    }

    #[test]
    fn each_program_is_asked_for_once() {
        assert_eq!(names(&Purpose::ALL, &[]).len(), PACKAGES.len());
        assert_eq!(names(&[Purpose::Build], &[]), Vec::<&str>::new());
    }
}
