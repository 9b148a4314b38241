//! Which service a packet is for.

use crate::maps;
use lb_common::counters::Settings;
use lb_common::packet::Parsed;
use lb_common::service::{ServiceKey, View};
use lb_common::verdict::Reason;
use zerocopy::network_endian::U16;

/// A service and its present view.
pub(crate) struct Service {
    /// Service id.
    pub(crate) id: u32,
    /// Its view.
    pub(crate) view: &'static View,
}

/// The service of a client's packet; `None` if it is for none.
#[inline]
pub(crate) fn service(parsed: &Parsed, settings: &Settings) -> Result<Option<Service>, Reason> {
    let exact = confirmed(parsed, maps::service_id(&parsed.service_key()))?;
    if exact.is_some() || !settings.any_port() {
        return Ok(exact);
    }
    confirmed(parsed, id_of_any_port(parsed))
}

/// The id of the service for any port.
#[inline(never)]
fn id_of_any_port(parsed: &Parsed) -> u32 {
    maps::service_id(&ServiceKey::new(parsed.destination, U16::ZERO, parsed.protocol))
}

/// The service `id`, if it is one that the packet is for; 0 is none, and so is a service that was removed meanwhile.
///
/// The index leaves the VIP to be compared, and a look-up in a hash map may return the value of a key that took over the
/// element meanwhile.
#[inline]
fn confirmed(parsed: &Parsed, id: u32) -> Result<Option<Service>, Reason> {
    if id == 0 {
        return Ok(None);
    }
    let Some(view) = maps::view_of(id).filter(|view| view.address == parsed.destination) else {
        return Ok(None);
    };
    let other_port = view.port != U16::ZERO && view.port != parsed.destination_port;
    if view.protocol != parsed.protocol || other_port {
        return Err(Reason::NotReady);
    }
    Ok(Some(Service { id, view }))
}
