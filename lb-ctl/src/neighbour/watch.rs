//! Notice of every change of links, addresses, routes and neighbours.

use super::NetworkError;
use futures_util::StreamExt;
use rtnetlink::MulticastGroup;
use tokio::sync::watch;

/// Counts changes of the network; a receiver that waits is woken by the next one.
pub type Changes = watch::Receiver<u64>;

const GROUPS: [MulticastGroup; 6] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
];

/// Starts to listen. What changed is not told: whoever is woken reads the tables again.
pub(super) fn start() -> Result<Changes, NetworkError> {
    let (connection, _, mut messages) =
        rtnetlink::new_multicast_connection(&GROUPS).map_err(NetworkError::Open)?;
    tokio::spawn(connection);
    let (sender, receiver) = watch::channel(0_u64);
    tokio::spawn(async move {
        while messages.next().await.is_some() && !sender.is_closed() {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    });
    Ok(receiver)
}
