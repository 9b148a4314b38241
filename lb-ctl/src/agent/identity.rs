//! What makes a server of a service the one that its connections know, wherever the server stands.

use super::compile::method;
use super::tables;
use crate::config::model;
use lb_common::address::Address;
use lb_common::server;

/// Address, port and method. Only nat has a port of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    address: Address,
    port: u16,
    method: u8,
}

impl From<&model::Server> for Identity {
    fn from(server: &model::Server) -> Self {
        let (ip, port, of) = server.identity();
        Self { address: ip.into(), port, method: method(of) as u8 }
    }
}

impl From<&tables::Server> for Identity {
    fn from(server: &tables::Server) -> Self {
        Self { address: server.address, port: server.port, method: server.method as u8 }
    }
}

/// An entry of the kernel's table.
impl From<&server::Server> for Identity {
    fn from(entry: &server::Server) -> Self {
        Self { address: entry.address, port: entry.port.get(), method: entry.method }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_nat_server_is_another_one_at_another_port() {
        let at = |address: &str, method| {
            let address = address.parse().unwrap();
            Identity::from(&model::Server { name: "pc".into(), address, method, weight: 1 })
        };
        let (one, other) = ("10.0.0.1:8081", "10.0.0.1:8082");
        assert_ne!(at(one, model::Method::Nat), at(other, model::Method::Nat));
        assert_eq!(at(one, model::Method::Dr), at(other, model::Method::Dr));
        assert_ne!(at(one, model::Method::Dr), at(one, model::Method::Ipip));
    }
}
