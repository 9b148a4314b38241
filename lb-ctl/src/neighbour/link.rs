//! Interfaces of the host.

use super::{Mac, Network, NetworkError};
use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
};
use std::collections::BTreeMap;

/// An interface of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its MAC address; `None` if it is not Ethernet.
    pub mac: Option<Mac>,
    /// Largest IP packet it carries; larger than 65,535 counts as that.
    pub mtu: u16,
    /// Whether it is up and has a carrier.
    pub running: bool,
    /// What made it.
    pub kind: LinkKind,
    /// The interface that it is a part of: its bridge or bond.
    pub master: Option<u32>,
    /// Whether it sends frames that are redirected to it, if the kernel says.
    pub transmits: Option<bool>,
}

/// What makes a difference to forwarding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkKind {
    /// A network card, or a kind that behaves like one.
    #[default]
    Card,
    /// One end of a pair.
    Veth,
    /// A bridge.
    Bridge,
    /// Several cards as one.
    Bond,
    /// An 802.1Q device: what it sends is tagged and leaves by a lower device.
    Vlan,
    /// A device beside a lower one, with a MAC address of its own: macvlan, macvtap, ipvlan, ipvtap.
    Macvlan,
    /// A tunnel or another device that exists in software only.
    Virtual,
}

impl Network {
    /// The interfaces, by index.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Request`] if the kernel does not answer.
    pub async fn links(&self) -> Result<BTreeMap<u32, Link>, NetworkError> {
        let links: Vec<_> = self
            .handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|e| NetworkError::request("list interfaces", e))?;
        let transmitters = self.transmitters().await;
        let described = |message: LinkMessage| {
            let index = message.header.index;
            (index, Link { transmits: transmitters.get(&index).copied(), ..link(message) })
        };
        Ok(links.into_iter().map(described).collect())
    }
}

fn link(message: LinkMessage) -> Link {
    let ethernet = message.header.link_layer_type == LinkLayerType::Ether;
    let running = message.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp);
    let mut link = Link { running, ..Link::default() };
    for attribute in message.attributes {
        if let LinkAttribute::Address(bytes) = attribute {
            link.mac = if ethernet { bytes.try_into().ok() } else { None };
        } else if let LinkAttribute::IfName(name) = attribute {
            link.name = name;
        } else if let LinkAttribute::Mtu(mtu) = attribute {
            link.mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
        } else if let LinkAttribute::Controller(master) = attribute {
            link.master = Some(master).filter(|master| *master != 0);
        } else if let LinkAttribute::LinkInfo(info) = attribute {
            link.kind = info.iter().find_map(kind).unwrap_or_default();
        }
    }
    link
}

fn kind(info: &LinkInfo) -> Option<LinkKind> {
    let LinkInfo::Kind(kind) = info else { return None };
    // A tap, as a virtual machine's, has a driver as a card has; what it can do, the kernel says.
    let known = [
        (InfoKind::Veth, LinkKind::Veth),
        (InfoKind::Bridge, LinkKind::Bridge),
        (InfoKind::Bond, LinkKind::Bond),
        (InfoKind::Vlan, LinkKind::Vlan),
        (InfoKind::MacVlan, LinkKind::Macvlan),
        (InfoKind::MacVtap, LinkKind::Macvlan),
        (InfoKind::IpVlan, LinkKind::Macvlan),
        (InfoKind::IpVtap, LinkKind::Macvlan),
        (InfoKind::Tun, LinkKind::Card),
        (InfoKind::Netkit, LinkKind::Card),
    ];
    let found = known.iter().find(|(name, _)| name == kind);
    Some(found.map_or(LinkKind::Virtual, |(_, kind)| *kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_tells_what_it_is_and_what_it_belongs_to() {
        let rows = [
            (InfoKind::Veth, 0, LinkKind::Veth, None),
            (InfoKind::Bond, 7, LinkKind::Bond, Some(7)),
            (InfoKind::Vlan, 0, LinkKind::Vlan, None),
            (InfoKind::MacVtap, 0, LinkKind::Macvlan, None),
            (InfoKind::Vxlan, 3, LinkKind::Virtual, Some(3)),
            (InfoKind::Other("dummy2".into()), 0, LinkKind::Virtual, None),
        ];
        for (kind, controller, want, master) in rows {
            let mut message = LinkMessage::default();
            message.attributes = vec![
                LinkAttribute::Controller(controller),
                LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind.clone())]),
            ];
            let link = link(message);
            assert_eq!((link.kind, link.master), (want, master), "{kind:?}");
        }
        assert_eq!(link(LinkMessage::default()).kind, LinkKind::Card);
    }
}
