//! A site with its web servers running and the program attached, and what the tests ask of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::lab::nginx::Nginx;
use lb_tests::lab::site::{DEVICE, FAMILIES, Family, INNER_DEVICE, Site};
use lb_tests::lab::{has_ended, http, wait_for, wait_until};
use serde_json::Value;

/// The port of every service and web server that a test does not say otherwise of.
pub(crate) const PORT: u16 = 80;

/// A forwarding method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Dr,
    Nat,
    Ipip,
}

impl Method {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Dr => "dr",
            Self::Nat => "nat",
            Self::Ipip => "ipip",
        }
    }
}

/// A site whose servers are prepared for a method each and serve pages, with a program attached to the director.
pub(crate) struct Balanced {
    pub(crate) web: Vec<Nginx>,
    pub(crate) site: Site,
    pub(crate) methods: Vec<Method>,
}

impl Balanced {
    /// Attaches to every device of the director and prepares the servers for these methods, in their order.
    pub(crate) fn new(site: Site, methods: &[Method]) -> Result<Self> {
        for device in [DEVICE, INNER_DEVICE] {
            if site.director.ip(&format!("link show dev {device}")).is_ok() {
                site.director.lb(&format!("attach {device}"))?;
            }
        }
        Self::attached(site, methods)
    }

    /// As [`Balanced::new`], where the test has attached itself.
    pub(crate) fn attached(site: Site, methods: &[Method]) -> Result<Self> {
        ensure!(site.servers.len() == methods.len(), "a method for each server");
        let mut web = Vec::new();
        for (server, method) in site.servers.iter().zip(methods) {
            let vips = FAMILIES.map(|family| site.vip(family));
            let directors = FAMILIES.map(|family| site.director_address(family));
            match method {
                Method::Dr => vips.iter().try_for_each(|&vip| server.host.serve_dr(vip))?,
                // Elsewhere the router leads the replies through the director.
                Method::Nat if !server.is_beside_the_director() => {}
                Method::Nat => directors.iter().try_for_each(|&director| server.host.serve_nat(director))?,
                Method::Ipip => server.host.serve_ipip(DEVICE, &vips)?,
            }
            web.push(Nginx::start(&server.host, PORT)?);
        }
        Ok(Self { web, site, methods: methods.to_vec() })
    }

    /// Adds the TCP service `name` on the VIP of `family`.
    pub(crate) fn add_service(&self, name: &str, family: Family, scheduler: &str) -> Result<()> {
        let service = socket(self.site.vip(family), PORT);
        self.lb(&format!("service add {name} {service}/tcp --scheduler {scheduler}"))
    }

    /// Adds the server with this index to a pool by its address of `family`.
    pub(crate) fn add_server(&self, pool: &str, index: usize, family: Family, weight: u32) -> Result<()> {
        let server = self.site.servers.get(index).context("no such server")?;
        let method = self.methods.get(index).context("no such server")?.word();
        let (address, name) = (server.address(family), server.name());
        self.lb(&format!("server add {pool} {address} --name {name} --method {method} --weight {weight}"))
    }

    /// Adds the service `web` of `family` and all servers with these weights.
    pub(crate) fn serve(&self, family: Family, scheduler: &str, weights: &[u32]) -> Result<()> {
        self.add_service("web", family, scheduler)?;
        (0..).zip(weights).try_for_each(|(index, &weight)| self.add_server("web", index, family, weight))
    }

    /// Runs `lb-ctl` on the director.
    pub(crate) fn lb(&self, line: &str) -> Result<()> {
        self.site.director.lb(line).map(drop)
    }

    /// What `lb-ctl LINE --json` writes.
    pub(crate) fn lb_json(&self, line: &str) -> Result<Value> {
        let text = self.site.director.lb(&format!("{line} --json"))?;
        serde_json::from_str(&text).with_context(|| format!("`lb-ctl {line} --json` wrote {text:?}"))
    }

    /// The URL of the page on the VIP.
    pub(crate) fn url(&self, family: Family, path: &str) -> String {
        format!("http://{}{path}", socket(self.site.vip(family), PORT))
    }

    /// Who answers one request by curl.
    pub(crate) fn curl(&self, family: Family) -> Result<String> {
        let page = self.site.client.run(&["curl", "-sSf", "-m", "5", &self.url(family, "/")])?;
        Ok(page.trim().to_owned())
    }

    /// Who answered how many of `count` requests, a connection each.
    pub(crate) fn shares(&self, family: Family, count: usize) -> Result<BTreeMap<String, usize>> {
        let address = socket(self.site.vip(family), PORT);
        let mut shares = BTreeMap::new();
        for _ in 0..count {
            *shares.entry(http::get(&self.site.client, address, "/")?.server).or_default() += 1;
        }
        Ok(shares)
    }

    /// Waits until the slots of untracked services are as far as `progress` with the last change, or further.
    pub(crate) fn wait_for_slots(&self, progress: &str) -> Result<()> {
        let reached = || {
            let slots = self.lb_json("status").ok()?.get("slots")?.as_str()?.to_owned();
            (slots == progress || slots == "settled").then_some(())
        };
        wait_for(Duration::from_secs(30), "the slots", reached)
    }

    /// The process id of the agent, as it says itself.
    pub(crate) fn agent(&self) -> Result<u64> {
        let pid = self.lb_json("status")?.pointer("/agent/pid").and_then(Value::as_u64);
        pid.context("status names no agent")
    }

    /// Kills the agent as a crash would, by the process id that it reports itself, and waits for its end.
    pub(crate) fn kill_agent(&self) -> Result<()> {
        let pid = self.agent()?;
        self.site.director.run(&["kill", "-9", &pid.to_string()])?;
        wait_until(Duration::from_secs(5), "the agent to end", || has_ended(pid))
    }

    /// A counter of a server, from `lb-ctl stats`.
    pub(crate) fn counter(&self, server: &str, key: &str) -> Result<u64> {
        self.sum("servers", ("server", server), key)
    }

    /// The packets of a reason, from `lb-ctl stats`.
    pub(crate) fn packets_of(&self, reason: &str) -> Result<u64> {
        self.sum("reasons", ("reason", reason), "packets")
    }

    fn sum(&self, table: &str, (column, word): (&str, &str), key: &str) -> Result<u64> {
        let stats = self.lb_json("stats")?;
        let rows = stats.get(table).and_then(Value::as_array).with_context(|| format!("no {table}"))?;
        let rows = rows.iter().filter(|row| row.get(column).and_then(Value::as_str) == Some(word));
        rows.map(|row| row.get(key).and_then(Value::as_u64).with_context(|| format!("no {key} in {row}")))
            .sum()
    }
}

/// An address and a port.
pub(crate) fn socket(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}

/// The rows of a test: each is a test of its own that calls `$check` with its values.
#[macro_export]
macro_rules! rows {
    ($check:ident: $($name:ident => $($value:expr),+;)+) => {
        $(#[test]
        fn $name() -> anyhow::Result<()> {
            $check($($value),+)
        })+
    };
}
