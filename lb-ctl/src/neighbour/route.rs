//! The way that the host would take to an address.

use super::{Network, NetworkError};
use futures_util::StreamExt;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use std::net::IpAddr;

/// The way to an address, as the kernel's routing table gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The interface that packets leave by.
    pub ifindex: u32,
    /// The router that they go to first; `None` if the address is on-link.
    pub gateway: Option<IpAddr>,
    /// The source that the host would use.
    pub source: Option<IpAddr>,
    /// Largest IP packet, if the route says so itself.
    pub mtu: Option<u16>,
}

/// Why there is no way to an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No route.
    #[error("no route to {0}")]
    NoRoute(IpAddr),
    /// It is the host's own.
    #[error("{0} is an address of this host")]
    Local(IpAddr),
    /// It is a multicast, broadcast or blackholed address.
    #[error("{0} is not the address of one host")]
    NotUnicast(IpAddr),
    /// The kernel answered with something else.
    #[error("cannot look up the route to {0}: {1}")]
    Failed(IpAddr, String),
}

impl Network {
    /// The way to `address`.
    ///
    /// # Errors
    ///
    /// [`RouteError`] if packets cannot be sent there.
    pub async fn route(&self, address: IpAddr) -> Result<Route, RouteError> {
        let builder = RouteMessageBuilder::<IpAddr>::new();
        let failed = |text: String| RouteError::Failed(address, text);
        let mut message = builder
            .destination_prefix(address, if address.is_ipv4() { 32 } else { 128 })
            .map_err(|error| failed(error.to_string()))?
            .build();
        // A look-up goes through the rules, not through one table.
        message.header.table = 0;
        let mut answers = Box::pin(self.handle.route().get(message).execute());
        match answers.next().await {
            Some(Ok(message)) => route(address, &message),
            Some(Err(error)) => match NetworkError::request("look up", error).errno() {
                Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ESRCH | libc::EACCES) => {
                    Err(RouteError::NoRoute(address))
                }
                Some(libc::EINVAL) => Err(RouteError::NotUnicast(address)),
                other => Err(failed(format!("error {other:?}"))),
            },
            None => Err(failed("no answer".to_owned())),
        }
    }
}

fn route(address: IpAddr, message: &RouteMessage) -> Result<Route, RouteError> {
    match message.header.kind {
        RouteType::Unicast => {}
        RouteType::Local => return Err(RouteError::Local(address)),
        RouteType::Broadcast | RouteType::Multicast | RouteType::Anycast => {
            return Err(RouteError::NotUnicast(address));
        }
        RouteType::Unspec
        | RouteType::BlackHole
        | RouteType::Unreachable
        | RouteType::Prohibit
        | RouteType::Throw
        | RouteType::Nat
        | RouteType::ExternalResolve
        | RouteType::Other(_)
        | _ => return Err(RouteError::NoRoute(address)),
    }
    let mut route = Route { ifindex: 0, gateway: None, source: None, mtu: None };
    for attribute in &message.attributes {
        if let RouteAttribute::Oif(index) = attribute {
            route.ifindex = *index;
        } else if let RouteAttribute::Gateway(gateway) = attribute {
            route.gateway = ip(gateway);
        } else if let RouteAttribute::Via(RouteVia::Inet6(gateway)) = attribute {
            route.gateway = Some(IpAddr::V6(*gateway));
        } else if let RouteAttribute::PrefSource(source) = attribute {
            route.source = ip(source);
        } else if let RouteAttribute::Metrics(metrics) = attribute {
            route.mtu = metrics.iter().find_map(mtu);
        }
    }
    if route.ifindex == 0 { Err(RouteError::NoRoute(address)) } else { Ok(route) }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        RouteAddress::Mpls(_) | RouteAddress::Other(_) | _ => None,
    }
}

fn mtu(metric: &RouteMetric) -> Option<u16> {
    if let RouteMetric::Mtu(mtu) = metric { Some(u16::try_from(*mtu).unwrap_or(u16::MAX)) } else { None }
}
