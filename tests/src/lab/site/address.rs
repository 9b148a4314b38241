//! The addresses of a site.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The family of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Both families, for tests that run once for each.
pub const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// Addresses of the client beside its own ([`super::Site::many_clients`]).
#[derive(Debug, Clone, Copy)]
pub struct Clients {
    family: Family,
}

impl Clients {
    pub(super) fn of(family: Family) -> Self {
        Self { family }
    }

    /// All of them, as a route names them.
    pub(super) fn prefix(self) -> String {
        let length = if self.family == Family::V4 { 16 } else { 112 };
        format!("{}/{length}", self.address(0))
    }

    /// The address with this number.
    pub fn address(&self, number: u16) -> IpAddr {
        let [high, low] = number.to_be_bytes();
        match self.family {
            Family::V4 => Ipv4Addr::new(10, 100, high, low).into(),
            Family::V6 => Ipv6Addr::new(0xfd00, 0x100, 0, 0, 0, 0, 0, number).into(),
        }
    }
}

/// Both addresses of a machine with their prefix lengths.
pub(super) fn both(network: u8, number: u8) -> [String; 2] {
    [
        format!("{}/24", address(network, number, Family::V4)),
        format!("{}/64", address(network, number, Family::V6)),
    ]
}

/// The address of a machine; its decimal number reads the same in both families.
pub(super) fn address(network: u8, number: u8, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 0, network, number).into(),
        Family::V6 => {
            let digits =
                u16::from(number / 100) << 8 | u16::from(number / 10 % 10) << 4 | u16::from(number % 10);
            Ipv6Addr::new(0xfd00, u16::from(network), 0, 0, 0, 0, 0, digits).into()
        }
    }
}
