//! The kernel's neighbour table: which MAC address an IP address on a link has.

use super::{Mac, Network, NetworkError};
use futures_util::TryStreamExt;
use rtnetlink::NeighbourAddRequest;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Known MAC addresses, by interface and IP address. What failed or is being resolved is not in it.
pub type Neighbours = BTreeMap<(u32, IpAddr), Mac>;

impl Network {
    /// The neighbours whose MAC address is known.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Request`] if the kernel does not answer.
    pub async fn neighbours(&self) -> Result<Neighbours, NetworkError> {
        let messages: Vec<_> = self
            .handle
            .neighbours()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|e| NetworkError::request("list neighbours", e))?;
        Ok(messages.iter().filter_map(known).collect())
    }

    /// Asks the kernel to find the MAC address of `address` and to keep it fresh.
    ///
    /// Kernels before 5.16 know no managed neighbours: there it is looked for once, and the caller asks again.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Request`] if the kernel refuses.
    pub async fn resolve(&self, ifindex: u32, address: IpAddr) -> Result<(), NetworkError> {
        let mut managed = self.using(ifindex, address);
        managed.message_mut().attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
        match managed.execute().await {
            Ok(()) => Ok(()),
            Err(_) => self.release(ifindex, address).await,
        }
    }

    /// Leaves the neighbour to the kernel's usual ageing.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Request`] if the kernel refuses.
    pub async fn release(&self, ifindex: u32, address: IpAddr) -> Result<(), NetworkError> {
        let what = || format!("resolve the neighbour {address}");
        self.using(ifindex, address).execute().await.map_err(|e| NetworkError::request(what(), e))
    }

    fn using(&self, ifindex: u32, address: IpAddr) -> NeighbourAddRequest {
        self.handle
            .neighbours()
            .add(ifindex, address)
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace()
    }
}

fn known(message: &NeighbourMessage) -> Option<((u32, IpAddr), Mac)> {
    use NeighbourState::{Delay, Noarp, Permanent, Probe, Reachable, Stale};
    let usable = [Reachable, Stale, Delay, Probe, Permanent, Noarp];
    if !usable.contains(&message.header.state) {
        return None;
    }
    let mut address = None;
    let mut mac = None;
    for attribute in &message.attributes {
        if let NeighbourAttribute::Destination(destination) = attribute {
            address = ip(destination);
        } else if let NeighbourAttribute::LinkLayerAddress(bytes) = attribute {
            mac = Mac::try_from(bytes.as_slice()).ok();
        }
    }
    Some(((message.header.ifindex, address?), mac?))
}

fn ip(address: &NeighbourAddress) -> Option<IpAddr> {
    match address {
        NeighbourAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        NeighbourAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        NeighbourAddress::Other(_) | _ => None,
    }
}
