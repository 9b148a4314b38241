//! Addresses of the host's interfaces.

use super::{Network, NetworkError};
use crate::fault;
use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage};
use std::net::IpAddr;

/// An address of one of the host's interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalAddress {
    /// The interface.
    pub ifindex: u32,
    /// The address.
    pub address: IpAddr,
    /// Length of the subnet's prefix.
    pub prefix: u8,
}

impl LocalAddress {
    /// Whether `other` lies in the subnet of this address.
    pub fn subnet_contains(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }
}

impl Network {
    /// Every address of every interface.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Request`] if the kernel does not answer.
    pub async fn addresses(&self) -> Result<Vec<LocalAddress>, NetworkError> {
        let messages: Vec<_> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|e| NetworkError::request("list addresses", e))?;
        Ok(messages.iter().filter_map(local_address).collect())
    }

    /// Puts `address` with a full-length prefix on the interface; it is no error if it is there.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Request`] if the kernel refuses.
    pub async fn add_address(&self, ifindex: u32, address: IpAddr) -> Result<(), NetworkError> {
        let mut request = self.handle.address().add(ifindex, address, full_length(address)).replace();
        if address.is_ipv6() {
            // Duplicate address detection would leave a VIP that moves here tentative for a second.
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
            request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        fault::before("a new address").map_err(NetworkError::fault("a new address"))?;
        let added = request.execute().await;
        added.map_err(|e| NetworkError::request(format!("add the address {address}"), e))?;
        fault::after("a new address");
        Ok(())
    }

    /// Takes `address` off the interface; it is no error if it is not there.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Request`] if the kernel refuses.
    pub async fn remove_address(&self, ifindex: u32, address: IpAddr) -> Result<(), NetworkError> {
        let message = self.handle.address().add(ifindex, address, full_length(address)).message_mut().clone();
        fault::before("a removed address").map_err(NetworkError::fault("a removed address"))?;
        match self.handle.address().del(message).execute().await {
            Ok(()) => {
                fault::after("a removed address");
                Ok(())
            }
            Err(error) => match NetworkError::request(format!("remove the address {address}"), error) {
                gone if matches!(gone.errno(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => Ok(()),
                other => Err(other),
            },
        }
    }
}

const fn full_length(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// `IFA_LOCAL` is the host's own address; on a point-to-point link `IFA_ADDRESS` is the peer's.
fn local_address(message: &AddressMessage) -> Option<LocalAddress> {
    let own = |attribute: &AddressAttribute| {
        if let AddressAttribute::Local(ip) = attribute { Some(*ip) } else { None }
    };
    let any = |attribute: &AddressAttribute| {
        if let AddressAttribute::Address(ip) = attribute { Some(*ip) } else { None }
    };
    let address =
        message.attributes.iter().find_map(own).or_else(|| message.attributes.iter().find_map(any))?;
    Some(LocalAddress { ifindex: message.header.index, address, prefix: message.header.prefix_len })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_holds_its_addresses_and_no_others() {
        let rows = [
            ("10.0.0.1", 24, "10.0.0.200", true),
            ("10.0.0.1", 24, "10.0.1.1", false),
            ("10.0.0.1", 32, "10.0.0.1", true),
            ("10.0.0.1", 32, "10.0.0.2", false),
            ("10.0.0.1", 0, "192.0.2.1", true),
            ("2001:db8::1", 64, "2001:db8::ffff", true),
            ("2001:db8::1", 64, "2001:db8:0:1::1", false),
            ("10.0.0.1", 0, "::1", false),
        ];
        for (address, prefix, other, want) in rows {
            let local = LocalAddress { ifindex: 1, address: address.parse().unwrap(), prefix };
            assert_eq!(local.subnet_contains(other.parse().unwrap()), want, "{address}/{prefix} {other}");
        }
    }
}
