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
    let exact = service_of(&parsed.service_key())?;
    if exact.is_some() || !settings.any_port() {
        return Ok(exact);
    }
    let id = id_of_any_port(parsed);
    if id == 0 {
        return Ok(None);
    }
    Ok(Some(Service { id, view: maps::view_of(id).ok_or(Reason::NotReady)? }))
}

/// The id of the service for any port of the packet's destination, or 0.
#[inline(never)]
fn id_of_any_port(parsed: &Parsed) -> u32 {
    let any = ServiceKey::new(parsed.destination, U16::ZERO, parsed.protocol);
    match service_of(&any) {
        Ok(Some(service)) => service.id,
        Ok(None) | Err(_) => 0,
    }
}

/// The service that has `key`.
///
/// What is found may be another's: the index leaves the VIP to be compared, and a look-up in a hash map may return the value
/// of a key that took over the element meanwhile.
#[inline]
fn service_of(key: &ServiceKey) -> Result<Option<Service>, Reason> {
    let id = maps::service_id(key);
    if id == 0 {
        return Ok(None);
    }
    let view = maps::view_of(id).ok_or(Reason::NotReady)?;
    if view.address != key.address {
        return Ok(None);
    }
    if view.protocol != key.protocol || (view.port != U16::ZERO && view.port != key.port) {
        return Err(Reason::NotReady);
    }
    Ok(Some(Service { id, view }))
}
