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
    let id = service_id(parsed, settings.any_port());
    if id == 0 {
        return Ok(None);
    }
    let view = maps::view_of(id).ok_or(Reason::NotReady)?;
    // A look-up may return the value of a key that took over the element meanwhile.
    let other_port = view.port != U16::ZERO && view.port != parsed.destination_port;
    if view.address != parsed.destination || view.protocol != parsed.protocol || other_port {
        return Err(Reason::NotReady);
    }
    Ok(Some(Service { id, view }))
}

/// The id of the service, or 0.
#[inline]
fn service_id(parsed: &Parsed, any_port: bool) -> u32 {
    let exact = maps::service_id(&parsed.service_key());
    if exact.is_some() || !any_port {
        return exact.unwrap_or(0);
    }
    let any = ServiceKey::new(parsed.destination, U16::ZERO, parsed.protocol);
    maps::service_id(&any).unwrap_or(0)
}
