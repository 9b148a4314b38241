//! Looks at the host's network, and has the kernel find the MAC addresses that servers need.

use super::last_hops::LastHops;
use super::state::{Desired, Observed, Way};
use crate::neighbour::{Link, Mac, Neighbour, Network, NetworkError, Route, RouteError};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The addresses to look up: those of all servers, and the first of each prefix of tunnel sources.
pub(super) fn server_addresses(Desired { config, intent }: &Desired) -> BTreeSet<IpAddr> {
    let servers = config.pools.iter().flat_map(|pool| &pool.servers);
    let servers = servers.chain(intent.leaving.iter().map(|leaving| &leaving.server));
    let sources = config.tunnel_sources.iter().map(|prefix| prefix.first());
    servers.map(|server| server.address.ip).chain(sources).collect()
}

/// The host's network, with the way to each of `addresses`; `generic` as in [`Observed`]. Where
/// the program is, is for the caller to add.
///
/// The kernel is asked to find the MAC addresses that it does not know, and to keep fresh those that are not in `kept`.
/// Until it knows more, a next hop of `last` holds.
///
/// # Errors
///
/// The kernel does not answer.
pub(super) async fn observe(
    network: &Network,
    addresses: &BTreeSet<IpAddr>,
    kept: &BTreeSet<(u32, IpAddr)>,
    generic: bool,
    last: &mut LastHops,
) -> Result<Observed, NetworkError> {
    let links = network.links().await?;
    let neighbours = network.neighbours().await?;
    let mut ways = BTreeMap::new();
    for address in addresses {
        let way = match network.route(*address).await {
            Ok(route) => {
                let neighbour = (route.ifindex, route.gateway.unwrap_or(*address));
                let entry = neighbours.get(&neighbour).copied();
                if entry.is_none_or(|entry| needs_care(entry, kept.contains(&neighbour))) {
                    resolve(network, &links, neighbour).await;
                }
                let before = before(last, (*address, route.ifindex), entry);
                Ok(way(&route, &links, entry, before))
            }
            Err(error) => Err(error),
        };
        ways.insert(*address, way);
    }
    let addresses = network.addresses().await?;
    Ok(Observed { links, addresses, ways, generic, ..Observed::default() })
}

/// Whether the kernel has to be asked to find the neighbour, or to keep it fresh.
const fn needs_care(entry: Neighbour, is_kept: bool) -> bool {
    match entry {
        Neighbour::Known { fixed, .. } => !fixed && !is_kept,
        Neighbour::Failed => true,
    }
}

/// The MAC address from before the start, until the kernel knows a server's neighbour or has asked for it in vain.
fn before(last: &mut LastHops, (address, ifindex): (IpAddr, u32), entry: Option<Neighbour>) -> Option<Mac> {
    if entry.is_some() {
        last.forget(address);
    }
    last.of_server(address, ifindex)
}

fn way(route: &Route, links: &BTreeMap<u32, Link>, entry: Option<Neighbour>, before: Option<Mac>) -> Way {
    let limit = links.get(&route.ifindex).map_or(u16::MAX, |link| link.mtu);
    let (mac, fixed) = match entry {
        Some(Neighbour::Known { mac, fixed }) => (Some(mac), fixed),
        Some(Neighbour::Failed) | None => (before, false),
    };
    Way {
        ifindex: route.ifindex,
        gateway: route.gateway,
        mac,
        fixed,
        source: route.source,
        mtu: route.mtu.map_or(limit, |mtu| mtu.min(limit)),
    }
}

async fn resolve(network: &Network, links: &BTreeMap<u32, Link>, (ifindex, address): (u32, IpAddr)) {
    let usable = links.get(&ifindex).is_some_and(|link| link.mac.is_some() && link.running);
    if usable && let Err(error) = network.resolve(ifindex, address).await {
        tracing::debug!(%address, %error, "the kernel will not look for a neighbour");
    }
}

/// The neighbours (interface and address) that are kept fresh for `observed`.
pub(super) fn kept_neighbours(observed: &Observed) -> BTreeSet<(u32, IpAddr)> {
    neighbours(observed, false)
}

/// Those that are left alone, because they are set for good.
pub(super) fn fixed_neighbours(observed: &Observed) -> BTreeSet<(u32, IpAddr)> {
    neighbours(observed, true)
}

fn neighbours(observed: &Observed, fixed: bool) -> BTreeSet<(u32, IpAddr)> {
    let of_way = |(address, way): (&IpAddr, &Result<Way, RouteError>)| {
        let way = way.as_ref().ok().filter(|way| way.fixed == fixed)?;
        Some((way.ifindex, way.gateway.unwrap_or(*address)))
    };
    observed.ways.iter().filter_map(of_way).collect()
}
