//! The kernel's neighbour table: which MAC address an IP address on a link has.

use super::{Mac, Network, NetworkError};
use futures_util::TryStreamExt;
use rtnetlink::NeighbourAddRequest;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Neighbours, by interface and IP address. What is being resolved is not in it.
pub type Neighbours = BTreeMap<(u32, IpAddr), Neighbour>;

/// What the kernel says of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// Its MAC address is known.
    Known {
        /// The MAC address.
        mac: Mac,
        /// Whether somebody set it for good. The kernel would forget it if it were asked to resolve it.
        fixed: bool,
    },
    /// It did not answer.
    Failed,
}

impl Network {
    /// The neighbours that are known or have failed.
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
        Ok(messages.iter().filter_map(entry).collect())
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

fn entry(message: &NeighbourMessage) -> Option<((u32, IpAddr), Neighbour)> {
    use NeighbourState::{Delay, Failed, Noarp, Permanent, Probe, Reachable, Stale};
    let mut address = None;
    let mut mac = None;
    for attribute in &message.attributes {
        if let NeighbourAttribute::Destination(destination) = attribute {
            address = ip(destination);
        } else if let NeighbourAttribute::LinkLayerAddress(bytes) = attribute {
            mac = Mac::try_from(bytes.as_slice()).ok();
        }
    }
    let state = message.header.state;
    let neighbour = if state == Failed {
        Neighbour::Failed
    } else if [Reachable, Stale, Delay, Probe, Permanent, Noarp].contains(&state) {
        Neighbour::Known { mac: mac?, fixed: [Permanent, Noarp].contains(&state) }
    } else {
        return None;
    };
    Some(((message.header.ifindex, address?), neighbour))
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
    fn an_entry_says_whether_it_is_known_for_good_or_failed() {
        use NeighbourState::{Failed, Incomplete, Noarp, Permanent, Reachable, Stale};
        let known = |fixed| Some(Neighbour::Known { mac: [2; 6], fixed });
        let rows = [
            (Reachable, known(false)),
            (Stale, known(false)),
            (Permanent, known(true)),
            (Noarp, known(true)),
            (Incomplete, None),
            (Failed, Some(Neighbour::Failed)),
        ];
        for (state, want) in rows {
            let mut message = NeighbourMessage::default();
            (message.header.ifindex, message.header.state) = (2, state);
            message.attributes = vec![
                NeighbourAttribute::Destination(NeighbourAddress::Inet([10, 0, 0, 1].into())),
                NeighbourAttribute::LinkLayerAddress(vec![2; 6]),
            ];
            assert_eq!(entry(&message), want.map(|want| ((2, [10, 0, 0, 1].into()), want)), "{state:?}");
        }
    }
}
