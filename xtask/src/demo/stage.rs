//! The machines of the demo and their set-up.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use lb_tests::lab::nginx::Nginx;
use lb_tests::lab::site::{DEVICE, Family, Site};
use lb_tests::lab::{Host, http, wait_for, wait_until};
use serde_json::Value;

/// The port of the service, and of every server.
const PORT: u16 = 80;
/// The length of [`Stage::page`].
pub(super) const PAGE: u64 = 1_000_000;

/// How one server is reached, and its share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Role {
    pub(super) name: &'static str,
    pub(super) method: &'static str,
    pub(super) weight: u32,
}

/// The servers in the order of the site: the last is the one behind the router.
pub(super) const ROLES: [Role; 3] = [
    Role { name: "web1", method: "dr", weight: 3 },
    Role { name: "web2", method: "nat", weight: 2 },
    Role { name: "web3", method: "ipip", weight: 1 },
];

/// The whole set-up; gone when dropped, unless it is kept.
#[derive(Debug)]
pub(super) struct Stage {
    site: Site,
    nginx: bool,
}

/// What `--keep` leaves: how to get at it.
#[derive(Debug)]
pub(super) struct Entrances {
    pub(super) client: PathBuf,
    pub(super) director: PathBuf,
    pub(super) server: PathBuf,
    pub(super) director_netns: PathBuf,
    pub(super) vip: IpAddr,
}

impl Stage {
    /// Makes the machines, prepares each server for its method and starts the web servers.
    ///
    /// With `keep` they stay when the stage is dropped, also after a failure.
    pub(super) fn set(nginx: bool, keep: bool) -> Result<Self> {
        let mut site = Site::routed("demo", 2, 1)?;
        if keep {
            site.lab.keep()?;
        }
        let (vip, director) = (site.vip(Family::V4), site.director_address(Family::V4));
        for (server, role) in site.servers.iter().zip(ROLES) {
            match role.method {
                "nat" => server.host.serve_nat(director)?,
                "ipip" => server.host.serve_ipip(DEVICE, &[vip])?,
                _ => server.host.serve_dr(vip)?,
            }
            start(&server.host, nginx)?;
        }
        Ok(Self { site, nginx })
    }

    /// Runs the operator's commands; `show` gets each command and what it wrote.
    pub(super) fn configure(&self, show: &mut dyn FnMut(&str, &str) -> Result<()>) -> Result<()> {
        let vip = self.vip();
        let mut commands =
            vec![format!("attach {DEVICE}"), format!("service add web {vip}:{PORT}/tcp --scheduler wrr")];
        for (server, role) in self.site.servers.iter().zip(ROLES) {
            let Role { name, method, weight } = role;
            let address = server.address(Family::V4);
            commands
                .push(format!("server add web {address} --name {name} --method {method} --weight {weight}"));
        }
        for command in commands {
            show(&command, &self.director().lb(&command)?)?;
        }
        Ok(())
    }

    /// Waits until the agent, which counts connections now and then, has counted those of the requests.
    pub(super) fn wait_for_a_count(&self) -> Result<()> {
        let counted = || {
            let status: Value = serde_json::from_str(&self.director().lb("status --json").ok()?).ok()?;
            let mut tables = status.get("tables")?.as_array()?.iter();
            let connections =
                tables.find(|table| table.get("table").is_some_and(|name| name == "connections"))?;
            connections.get("used")?.as_u64().filter(|&used| used > 0)
        };
        wait_for(Duration::from_secs(10), "the agent to count the connections", counted).map(drop)
    }

    /// Writes the scripts that get at the machines.
    pub(super) fn entrances(&self) -> Result<Entrances> {
        let last = self.site.servers.last().context("the demo has no servers")?;
        Ok(Entrances {
            client: self.site.client.write_entrance()?,
            director: self.site.director.write_entrance()?,
            server: last.host.write_entrance()?,
            director_netns: self.site.director.netns_path(),
            vip: self.vip(),
        })
    }

    pub(super) fn client(&self) -> &Host {
        &self.site.client
    }

    pub(super) fn director(&self) -> &Host {
        &self.site.director
    }

    /// The machines behind the VIP with their roles.
    pub(super) fn servers(&self) -> impl Iterator<Item = (&Host, Role)> {
        self.site.servers.iter().map(|server| &server.host).zip(ROLES)
    }

    /// Where the servers have a page of [`PAGE`] bytes.
    pub(super) fn page(&self) -> String {
        if self.nginx { "/files/page".to_owned() } else { format!("/bytes/{PAGE}") }
    }

    pub(super) fn vip(&self) -> IpAddr {
        self.site.vip(Family::V4)
    }

    /// Where the client connects to.
    pub(super) fn service(&self) -> SocketAddr {
        SocketAddr::new(self.vip(), PORT)
    }
}

/// Starts a web server, which ends with the lab and not with this process.
fn start(host: &Host, nginx: bool) -> Result<()> {
    if nginx {
        let nginx = Nginx::start(host, PORT)?;
        nginx.add_file("page", PAGE)?;
        nginx.leave();
        return Ok(());
    }
    let own = std::env::current_exe().context("cannot find the running executable")?;
    let (own, port) = (own.to_string_lossy(), PORT.to_string());
    let server = host.spawn("http", &[&own, "demo", "--serve", host.name(), &port])?;
    let address = SocketAddr::from(([127, 0, 0, 1], PORT));
    wait_until(Duration::from_secs(5), &format!("the HTTP server of {}", host.name()), || {
        http::get(host, address, "/").is_ok()
    })
    .with_context(|| server.log().unwrap_or_default())?;
    server.leave();
    Ok(())
}
