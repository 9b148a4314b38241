//! Interfaces of the host.

use super::{Mac, Network, NetworkError};
use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use std::collections::BTreeMap;

/// An interface of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its MAC address; `None` if it is not Ethernet.
    pub mac: Option<Mac>,
    /// Largest IP packet it carries; larger than 65,535 counts as that.
    pub mtu: u16,
    /// Whether it is up and has a carrier.
    pub running: bool,
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
        Ok(links.into_iter().map(|message| (message.header.index, link(message))).collect())
    }
}

fn link(message: LinkMessage) -> Link {
    let ethernet = message.header.link_layer_type == LinkLayerType::Ether;
    let running = message.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp);
    let mut link = Link { name: String::new(), mac: None, mtu: 0, running };
    for attribute in message.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            link.name = name;
        } else if let LinkAttribute::Mtu(mtu) = attribute {
            link.mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
        } else if let LinkAttribute::Address(bytes) = attribute
            && ethernet
        {
            link.mac = bytes.try_into().ok();
        }
    }
    link
}
