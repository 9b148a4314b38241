//! What the kernel has that the store has not: what the next write would change, in an operator's words.

use super::writer::Writer;
use crate::api::Failure;
use crate::config::diff::{Difference, Kind};
use crate::datapath::tables::Write;

impl Writer {
    /// What has to be written to make the kernel equal to what is stored. Empty while the agent does its work.
    pub(super) fn kernel_differences(&mut self) -> Result<Vec<Difference>, Failure> {
        let plan = self.plan(&self.desired(), &self.observed.clone())?;
        Ok(plan.writes.iter().filter_map(difference).collect())
    }
}

fn difference(write: &Write) -> Option<Difference> {
    let (change, object, name, detail) = match write {
        Write::Settings(settings) => (Kind::Changed, "settings", String::new(), format!("{settings:?}")),
        Write::Interface(device, to) if to.ifindex == 0 => {
            (Kind::Removed, "device", device.to_string(), String::new())
        }
        Write::Interface(device, to) => {
            (Kind::Changed, "device", device.to_string(), format!("interface {} mtu {}", to.ifindex, to.mtu))
        }
        Write::NatHost(address, to) => {
            (kind(to.is_some()), "nat-host", std::net::IpAddr::from(*address).to_string(), String::new())
        }
        Write::Server(id, to) => {
            (Kind::Added, "server", id.to_string(), std::net::IpAddr::from(to.address).to_string())
        }
        Write::ServerState(id, to) => (Kind::Changed, "server", id.to_string(), format!("state {to:?}")),
        Write::NextHop(id, to) => (
            Kind::Changed,
            "server",
            id.to_string(),
            format!("next hop {:x?} by device {}", to.mac, to.device),
        ),
        Write::ServerMtu(id, to) => (Kind::Changed, "server", id.to_string(), format!("mtu {to}")),
        Write::ServerSource(id, to, bits) => {
            let source = std::net::IpAddr::from(*to);
            (Kind::Changed, "server", id.to_string(), format!("source {source}, {bits} bits by flow"))
        }
        Write::Slots(first, slots) => {
            (Kind::Changed, "slots", first.to_string(), format!("{} slots", slots.len()))
        }
        Write::Slot(index, _) => (Kind::Changed, "slot", index.to_string(), String::new()),
        Write::Service(id, 0) => (Kind::Removed, "service", id.to_string(), String::new()),
        Write::Service(id, view) => (Kind::Changed, "service", id.to_string(), format!("view {view}")),
        Write::ServiceKey(key, to) => {
            let address = std::net::IpAddr::from(key.address);
            (
                kind(to.is_some()),
                "service-key",
                format!("{address} port {} protocol {}", key.port, key.protocol),
                String::new(),
            )
        }
        Write::View(..) | Write::ClearService(_) | Write::ClearServer(_) => return None,
    };
    Some(Difference { change, object: object.to_owned(), name, detail })
}

const fn kind(is_there: bool) -> Kind {
    if is_there { Kind::Added } else { Kind::Removed }
}
