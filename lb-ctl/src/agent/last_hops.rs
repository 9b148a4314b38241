//! The next hops that the kernel's tables had when the agent started: they hold until the kernel's neighbour table says
//! more, so that a restart makes no connection wait for ARP or neighbour discovery.

use crate::datapath::tables::Kernel;
use crate::neighbour::Mac;
use lb_common::server::ServerState;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long a next hop of before is believed without a word from the kernel, which gives up after three seconds itself.
const BELIEVED: Duration = Duration::from_secs(5);

/// Next hops from before the start, by address of the server: interface and MAC address.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LastHops {
    hops: BTreeMap<IpAddr, (u32, Mac)>,
    until: Option<Instant>,
}

impl LastHops {
    /// What `kernel` has at the start, which is `now`.
    pub(super) fn of(kernel: &Kernel, now: Instant) -> Self {
        let living = |server: &&lb_common::server::Server| {
            ServerState::from_byte(server.state) != ServerState::Gone && server.next_hop.is_known()
        };
        let hop = |server: &lb_common::server::Server| {
            let interface = kernel.interfaces.get(&server.next_hop.device)?;
            Some((server.address.into(), (interface.ifindex, server.next_hop.mac)))
        };
        let hops = kernel.servers.values().filter(living).filter_map(hop).collect();
        Self { hops, until: Some(now + BELIEVED) }
    }

    /// The MAC address that packets to `address` went to by the interface `ifindex`, while that is believed.
    pub(super) fn of_server(&self, address: IpAddr, ifindex: u32) -> Option<Mac> {
        self.hops.get(&address).filter(|(before, _)| *before == ifindex).map(|(_, mac)| *mac)
    }

    /// Forgets a next hop: the kernel knows it, or has asked for it in vain.
    pub(super) fn forget(&mut self, address: IpAddr) {
        self.hops.remove(&address);
    }

    /// Forgets all when their time is over; tells whether there were any.
    pub(super) fn end(&mut self, now: Instant) -> bool {
        if self.until.is_none_or(|until| now < until) {
            return false;
        }
        self.until = None;
        !std::mem::take(&mut self.hops).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::address::Address;
    use lb_common::server::{Interface, NextHop, Server};

    const AT: [u8; 4] = [10, 0, 0, 1];

    fn server(state: ServerState, next_hop: NextHop) -> LastHops {
        let server =
            Server { address: Address::from_v4(AT), state: state as u8, next_hop, ..Server::default() };
        let interface = Interface { ifindex: 7, mtu: 1_500, mac: [1; 6] };
        let kernel = Kernel {
            servers: [(1, server)].into(),
            interfaces: [(3, interface)].into(),
            ..Kernel::default()
        };
        LastHops::of(&kernel, Instant::now())
    }

    #[test]
    fn a_known_hop_of_a_living_server_holds_on_its_interface() {
        let known = NextHop { mac: [2; 6], device: 3 };
        let rows = [
            ("up", ServerState::Up, known, 7, Some([2; 6])),
            ("draining", ServerState::NoNew, known, 7, Some([2; 6])),
            ("removed", ServerState::Gone, known, 7, None),
            ("unknown", ServerState::Up, NextHop::default(), 7, None),
            ("another interface now", ServerState::Up, known, 8, None),
            ("the interface is gone", ServerState::Up, NextHop { device: 4, ..known }, 7, None),
        ];
        for (name, state, next_hop, ifindex, want) in rows {
            assert_eq!(server(state, next_hop).of_server(AT.into(), ifindex), want, "{name}");
        }
    }

    #[test]
    fn it_holds_until_the_kernel_says_more_or_its_time_is_over() {
        let mut hops = server(ServerState::Up, NextHop { mac: [2; 6], device: 3 });
        assert!(!hops.end(Instant::now()));
        assert!(hops.of_server(AT.into(), 7).is_some());
        assert!(hops.end(Instant::now() + BELIEVED) && !hops.end(Instant::now() + BELIEVED));
        assert_eq!(hops.of_server(AT.into(), 7), None);
        let mut hops = server(ServerState::Up, NextHop { mac: [2; 6], device: 3 });
        hops.forget(AT.into());
        assert!(hops.of_server(AT.into(), 7).is_none() && !hops.end(Instant::now() + BELIEVED));
    }
}
