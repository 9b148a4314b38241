//! Which VIPs belong on which interface, and putting them there.
//!
//! An address that was there before the agent is left alone: what the agent put there is remembered in the store.

use super::state::Observed;
use crate::api::Failure;
use crate::config::model::{Announce, Config};
use crate::neighbour::{Network, NetworkError, announce::announce};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Interface by VIP.
pub(super) type Placed = BTreeMap<IpAddr, String>;

/// Announcements of one VIP, and the time between two: some switches and hosts miss one.
const ANNOUNCEMENTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// How a VIP is announced.
pub(super) fn announced(config: &Config, vip: IpAddr) -> Announce {
    config.vips.iter().find(|entry| entry.address.0 == vip).map(|entry| entry.announce).unwrap_or_default()
}

/// What should be changed so that every VIP in use is on an interface, and no other is that the agent put there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Moves {
    pub(super) add: Placed,
    pub(super) remove: Placed,
}

pub(super) fn moves(config: &Config, placed: &Placed, observed: &Observed) -> Moves {
    let used = config
        .services
        .iter()
        .map(|service| service.vip)
        .filter(|vip| announced(config, *vip) == Announce::Arp);
    let wanted: Placed = used.filter_map(|vip| Some((vip, place(vip, config, placed, observed)?))).collect();
    let is_there = |vip: &IpAddr, name: &String| {
        observed
            .addresses
            .iter()
            .any(|local| local.address == *vip && observed.configured(name) == Some(local.ifindex))
    };
    let anywhere = |vip: &IpAddr| observed.addresses.iter().any(|local| local.address == *vip);
    let ours = |vip: &IpAddr| placed.contains_key(vip);
    let renamed = |vip: &IpAddr, name: &String| placed.get(vip).is_some_and(|old| old != name);
    let missing = |(vip, name): &(&IpAddr, &String)| {
        renamed(vip, name) || (!is_there(vip, name) && (ours(vip) || !anywhere(vip)))
    };
    let add = wanted.iter().filter(missing).map(|(vip, name)| (*vip, name.clone())).collect();
    let remove = placed
        .iter()
        .filter(|(vip, name)| wanted.get(vip) != Some(name))
        .map(|(vip, name)| (*vip, name.clone()))
        .collect();
    Moves { add, remove }
}

/// What is to be remembered before the addresses of `add` are put on: what is still there, and those.
///
/// An address that could not be taken off its old interface stays there, and is not put on a second one.
pub(super) fn intended(still_there: &Placed, mut add: Placed) -> (Placed, Placed) {
    add.retain(|vip, name| still_there.get(vip).is_none_or(|old| old == name));
    let both = still_there.iter().chain(&add).map(|(vip, name)| (*vip, name.clone())).collect();
    (both, add)
}

/// The VIPs in use that are announced, with the interface that each is on, whoever put it there.
pub(super) fn present(config: &Config, observed: &Observed) -> Placed {
    let used = config
        .services
        .iter()
        .map(|service| service.vip)
        .filter(|vip| announced(config, *vip) == Announce::Arp);
    let on = |vip: IpAddr| observed.addresses.iter().find(|local| local.address == vip);
    used.filter_map(|vip| Some((vip, observed.links.get(&on(vip)?.ifindex)?.name.clone()))).collect()
}

/// The interface whose subnet has it, above all where it is; else where it is, if that still has the program; else the
/// first one.
fn place(vip: IpAddr, config: &Config, placed: &Placed, observed: &Observed) -> Option<String> {
    let attached: Vec<(u32, &String)> = config
        .interfaces
        .iter()
        .filter_map(|interface| Some((observed.configured(&interface.name)?, &interface.name)))
        .collect();
    let kept = || attached.iter().find(|(_, name)| placed.get(&vip) == Some(*name));
    let on_link = |(index, _): &&(u32, &String)| {
        observed
            .addresses
            .iter()
            .any(|local| local.ifindex == *index && local.address != vip && local.subnet_contains(vip))
    };
    let on_link_now = kept().filter(on_link).or_else(|| attached.iter().find(on_link));
    let (_, name) = on_link_now.or_else(kept).or_else(|| attached.first())?;
    Some((*name).clone())
}

/// Takes addresses off; gives what of `placed` is still there. What fails is logged and tried again. An interface that
/// only has another name keeps its address.
pub(super) async fn take_off(
    network: &Network,
    Moves { add, remove }: &Moves,
    placed: &Placed,
    observed: &Observed,
) -> Placed {
    let mut placed = placed.clone();
    for (vip, name) in remove {
        let next = add.get(vip).and_then(|name| observed.configured(name));
        let taken_off = match observed.configured(name) {
            Some(index) if next != Some(index) => network.remove_address(index, *vip).await,
            _ => Ok(()),
        };
        if succeeded("take off", *vip, name, &taken_off) {
            placed.remove(vip);
        }
    }
    placed
}

/// Puts addresses on; gives those that are not there now. What fails is logged and tried again.
pub(super) async fn put_on(network: &Network, add: Placed, observed: &Observed) -> Placed {
    let mut missing = Placed::new();
    for (vip, name) in add {
        let done = match observed.configured(&name) {
            Some(index) => succeeded("put on", vip, &name, &network.add_address(index, vip).await),
            None => false,
        };
        if !done {
            missing.insert(vip, name);
        }
    }
    missing
}

/// What the operator is told of VIPs that could not be put on, or taken off.
pub(super) fn unplaced(missing: &Placed, stuck: &Placed) -> Option<Failure> {
    let told = |vips: &Placed, what: &str| {
        let (vip, name) = vips.first_key_value()?;
        let more = if vips.len() == 1 { String::new() } else { format!(" and {} more", vips.len() - 1) };
        let failure = Failure::failed(format!("the VIP {vip}{more} could not be {what} {name}"));
        Some(failure.with_hint("the agent's log says why; it tries again"))
    };
    told(missing, "put on").or_else(|| told(stuck, "taken off"))
}

fn succeeded(doing: &str, vip: IpAddr, interface: &str, result: &Result<(), NetworkError>) -> bool {
    match result {
        Ok(()) => tracing::debug!(%vip, interface, "{doing} an interface"),
        Err(error) => tracing::warn!(%vip, interface, %error, "could not {doing} an interface"),
    }
    result.is_ok()
}

/// Tells the segments where the VIPs are, a few times, beside everything else.
pub(super) fn tell(vips: &Placed, observed: &Observed) {
    for (vip, name) in vips {
        let Some(index) = observed.configured(name) else { continue };
        let Some(link) = observed.links.get(&index).filter(|link| link.running) else { continue };
        let Some(mac) = link.mac else { continue };
        tokio::spawn(repeat(index, mac, *vip));
    }
}

async fn repeat(ifindex: u32, mac: crate::neighbour::Mac, vip: IpAddr) {
    let mut ticks = tokio::time::interval(PAUSE);
    for _ in 0..ANNOUNCEMENTS {
        ticks.tick().await;
        if let Err(error) = announce(ifindex, mac, vip) {
            tracing::warn!(%vip, %error, "could not announce a VIP");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{Interface, Mode};
    use crate::neighbour::{Link, LocalAddress};

    const VIP: &str = "192.0.2.10";

    fn host(vip_on: Option<u32>) -> Observed {
        let link = |name: &str| Link {
            name: name.into(),
            mac: Some([2; 6]),
            mtu: 1500,
            running: true,
            ..Link::default()
        };
        let local =
            |ifindex, text: &str, prefix| LocalAddress { ifindex, address: text.parse().unwrap(), prefix };
        let mut addresses = vec![local(2, "10.0.0.1", 24), local(3, "192.0.2.1", 24)];
        addresses.extend(vip_on.map(|index| local(index, VIP, 32)));
        Observed { links: [(2, link("eth0")), (3, link("eth1"))].into(), addresses, ..Observed::default() }
    }

    fn config(interfaces: &[&str], used: bool, announce: &str) -> Config {
        let service =
            format!("[[service]]\nname = 'web'\nvip = '{VIP}'\nport = 80\nprotocol = 'tcp'\npools = []\n");
        let vip = format!("[[vip]]\naddress = '{VIP}'\nannounce = '{announce}'\n");
        let config: Config =
            toml::from_str(&format!("{}{vip}", if used { service } else { String::new() })).unwrap();
        let interface = |name: &&str| Interface { name: (*name).into(), mode: Mode::Auto };
        Config { interfaces: interfaces.iter().map(interface).collect(), ..config }
    }

    fn placed(on: Option<&str>) -> Placed {
        on.map(|name| (VIP.parse().unwrap(), name.to_owned())).into_iter().collect()
    }

    #[test]
    fn an_address_is_remembered_before_it_is_put_on_and_only_on_one_interface() {
        let rows = [
            ("new", None, Some("eth1"), Some("eth1"), Some("eth1")),
            ("taken off eth0 before", None, Some("eth1"), Some("eth1"), Some("eth1")),
            ("not to be taken off eth0", Some("eth0"), Some("eth1"), Some("eth0"), None),
            ("lost by somebody else", Some("eth1"), Some("eth1"), Some("eth1"), Some("eth1")),
            ("nothing to do", Some("eth1"), None, Some("eth1"), None),
        ];
        for (name, still_there, add, want, want_add) in rows {
            let got = intended(&placed(still_there), placed(add));
            assert_eq!(got, (placed(want), placed(want_add)), "{name}");
        }
    }

    #[test]
    fn a_vip_is_where_it_belongs_and_only_what_was_put_there_is_taken_off() {
        let both = config(&["eth0", "eth1"], true, "arp");
        let rows = [
            ("new", &both, None, None, Some("eth1"), None),
            ("there before us", &both, None, Some(2), None, None),
            ("put by us", &both, Some("eth1"), Some(3), None, None),
            ("put by us, lost since", &both, Some("eth1"), None, Some("eth1"), None),
            ("elsewhere while its own was gone", &both, Some("eth0"), Some(2), Some("eth1"), Some("eth0")),
            ("no subnet has it", &config(&["eth0"], true, "arp"), None, None, Some("eth0"), None),
            ("nothing attached", &config(&[], true, "arp"), None, None, None, None),
            (
                "its interface was detached",
                &config(&["eth0"], true, "arp"),
                Some("eth1"),
                Some(3),
                Some("eth0"),
                Some("eth1"),
            ),
            ("not announced", &config(&["eth1"], true, "none"), None, None, None, None),
            (
                "not announced any more",
                &config(&["eth1"], true, "none"),
                Some("eth1"),
                Some(3),
                None,
                Some("eth1"),
            ),
            (
                "not used any more",
                &config(&["eth1"], false, "arp"),
                Some("eth1"),
                Some(3),
                None,
                Some("eth1"),
            ),
            ("not used, not ours", &config(&["eth1"], false, "arp"), None, Some(3), None, None),
        ];
        for (name, config, before, vip_on, add, remove) in rows {
            let want = Moves { add: placed(add), remove: placed(remove) };
            assert_eq!(moves(config, &placed(before), &host(vip_on)), want, "{name}");
        }
    }

    #[test]
    fn a_vip_stays_on_an_interface_that_was_renamed() {
        let mut renamed = host(Some(3));
        renamed.links.get_mut(&3).unwrap().name = "lan0".into();
        renamed.renamed = [(3, "eth1".to_owned())].into();
        let both = config(&["eth0", "eth1"], true, "arp");
        assert_eq!(moves(&both, &placed(Some("eth1")), &renamed), Moves::default());
        let unused = Moves { remove: placed(Some("eth1")), ..Moves::default() };
        assert_eq!(moves(&config(&["eth0", "eth1"], false, "arp"), &placed(Some("eth1")), &renamed), unused);
        let recorded = Moves { add: placed(Some("lan0")), remove: placed(Some("eth1")) };
        assert_eq!(moves(&config(&["eth0", "lan0"], true, "arp"), &placed(Some("eth1")), &renamed), recorded);
    }
}
