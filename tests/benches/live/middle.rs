//! What is between client and server: each balancer as its users start it, with eight servers and otherwise its defaults.

use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use lb_tests::lab::site::{DEVICE, INNER_DEVICE};
use lb_tests::lab::{ChildGuard, Host, wait_until};
use lb_tests::rows::Middle;
use serde_json::Value;

use crate::road::{CLIENTS, DIRECT_CLIENT, DIRECTOR, PORT, Road, VIP, servers, service};

/// Longest time that a balancer takes to start.
const DEADLINE: Duration = Duration::from_secs(10);

/// The director's method, or `None` where something else balances.
pub(crate) const fn method(middle: Middle) -> Option<&'static str> {
    match middle {
        Middle::Dr => Some("dr"),
        Middle::Nat => Some("nat"),
        Middle::Ipip => Some("ipip"),
        Middle::Nothing | Middle::Drop | Middle::Redirect | Middle::Nftables | Middle::Haproxy => None,
    }
}

/// Starts what is to be in the middle; a process ends with its guard.
pub(crate) fn start(middle: Middle, road: &Road) -> Result<Option<ChildGuard>> {
    match middle {
        Middle::Nothing | Middle::Drop | Middle::Redirect => Ok(None),
        Middle::Dr | Middle::Nat | Middle::Ipip => lb_ctl(middle, road).map(|()| None),
        Middle::Nftables => nftables(road).map(|()| None),
        Middle::Haproxy => haproxy(&road.director).map(Some),
    }
}

/// Leads the answers of a server's stack back to the client.
pub(crate) fn lead_back(middle: Middle, road: &Road) -> Result<()> {
    match middle {
        Middle::Dr => {
            road.server.serve_dr(VIP.into())?;
            road.server.route(CLIENTS, DIRECT_CLIENT)
        }
        Middle::Nat | Middle::Nftables => road.server.serve_nat(DIRECTOR),
        Middle::Nothing | Middle::Drop | Middle::Redirect | Middle::Ipip | Middle::Haproxy => Ok(()),
    }
}

/// How many packets the director has counted as forwarded, if it is in the middle.
pub(crate) fn forwarded(middle: Middle, road: &Road) -> Result<Option<u64>> {
    let Some(method) = method(middle) else { return Ok(None) };
    let stats: Value = serde_json::from_str(&road.director.lb("stats --json")?).context("no statistics")?;
    let word = format!("forwarded-{method}");
    let rows = stats.get("reasons").and_then(Value::as_array).context("no reasons")?;
    let rows = rows.iter().filter(|row| row.get("reason").and_then(Value::as_str) == Some(&word));
    rows.map(|row| row.get("packets").and_then(Value::as_u64).context("no packets"))
        .sum::<Result<_>>()
        .map(Some)
}

fn lb_ctl(middle: Middle, road: &Road) -> Result<()> {
    let method = method(middle).context("no method of the director")?;
    let director = &road.director;
    for device in [DEVICE, INNER_DEVICE] {
        director.lb(&format!("attach {device}"))?;
    }
    director.lb(&format!("service add web {}/tcp --scheduler mh", service()))?;
    servers()
        .try_for_each(|address| director.lb(&format!("server add web {address} --method {method}")).map(drop))
}

fn nftables(road: &Road) -> Result<()> {
    let director = &road.director;
    director.forward_packets()?;
    // A network card has checked them; a veth has not.
    director.sysctl("net/netfilter/nf_conntrack_checksum", "0")?;
    road.front.add_address(&format!("{VIP}/32"))?;
    let places: Vec<_> = servers().enumerate().map(|(at, address)| format!("{at} : {address}")).collect();
    let (count, places) = (places.len(), places.join(", "));
    let rules = format!(
        r"table ip balancer {{
    chain prerouting {{
        type nat hook prerouting priority dstnat; policy accept;
        ip daddr {VIP} tcp dport {PORT} dnat to jhash ip saddr . tcp sport mod {count} map {{ {places} }}
    }}
}}
"
    );
    let file = director.directory().join("rules");
    fs::write(&file, rules).context("cannot write the rules")?;
    director.run(&["nft", "-f", &file.to_string_lossy()]).map(drop)
}

fn haproxy(director: &Host) -> Result<ChildGuard> {
    director.add_address(DEVICE, &format!("{VIP}/32"))?;
    let servers: Vec<_> = servers().map(|address| format!("    server {address} {address}:{PORT}")).collect();
    let (service, servers) = (service(), servers.join("\n"));
    let text = format!(
        r"global
    nbthread 1
    maxconn 4096
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
listen web
    bind {service}
    balance roundrobin
{servers}
"
    );
    let file = director.directory().join("haproxy.cfg");
    fs::write(&file, text).context("cannot write the configuration")?;
    let mut child = director.spawn("haproxy", &["haproxy", "-db", "-f", &file.to_string_lossy()])?;
    let listens = || TcpStream::connect(service).is_ok();
    wait_until(DEADLINE, "haproxy to listen", || {
        !child.is_running() || director.within(listens).unwrap_or(false)
    })?;
    if !child.is_running() {
        bail!("haproxy ended: {}", child.log()?.trim());
    }
    Ok(child)
}
