//! The kernel's neighbour table: which MAC address an IP address on a link has.

use super::{Mac, Network, NetworkError};
use futures_util::TryStreamExt;
use rtnetlink::NeighbourAddRequest;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Known neighbours, by interface and IP address. What failed or is being resolved is not in it.
pub type Neighbours = BTreeMap<(u32, IpAddr), Neighbour>;

/// A neighbour whose MAC address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its MAC address.
    pub mac: Mac,
    /// Whether somebody set it for good. The kernel would forget it if it were asked to resolve it.
    pub fixed: bool,
}

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

fn known(message: &NeighbourMessage) -> Option<((u32, IpAddr), Neighbour)> {
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
    let fixed = [Permanent, Noarp].contains(&message.header.state);
    Some(((message.header.ifindex, address?), Neighbour { mac: mac?, fixed }))
}

fn ip(address: &NeighbourAddress) -> Option<IpAddr> {
    match address {
        NeighbourAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        NeighbourAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        NeighbourAddress::Other(_) | _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_whether_it_is_there_for_good() {
        use NeighbourState::{Failed, Incomplete, Noarp, Permanent, Reachable, Stale};
        let rows = [
            (Reachable, Some(false)),
            (Stale, Some(false)),
            (Permanent, Some(true)),
            (Noarp, Some(true)),
            (Incomplete, None),
            (Failed, None),
        ];
        for (state, want) in rows {
            let mut message = NeighbourMessage::default();
            (message.header.ifindex, message.header.state) = (2, state);
            message.attributes = vec![
                NeighbourAttribute::Destination(NeighbourAddress::Inet([10, 0, 0, 1].into())),
                NeighbourAttribute::LinkLayerAddress(vec![2; 6]),
            ];
            let found = known(&message).map(|(key, neighbour)| (key, neighbour.mac, neighbour.fixed));
            assert_eq!(found, want.map(|fixed| ((2, [10, 0, 0, 1].into()), [2; 6], fixed)), "{state:?}");
        }
    }
}
