//! Interfaces that packets may leave by.

use crate::agent::ids::{Full, Ids, Quarantine};
use crate::agent::plan::{Draft, Stage};
use crate::agent::tables::Tables;
use crate::datapath::tables::{Kernel, Write};
use lb_common::server::{Interface, MAX_DEVICES};
use std::collections::BTreeMap;

/// The device index of each interface, by its index in the kernel.
pub(super) type Devices = BTreeMap<u32, u16>;

pub(super) fn reconcile(
    tables: &Tables,
    kernel: &Kernel,
    quarantine: &Quarantine,
    draft: &mut Draft,
) -> Result<Devices, Full> {
    let known: Devices =
        kernel.interfaces.iter().map(|(device, interface)| (interface.ifindex, *device)).collect();
    let busy =
        kernel.interfaces.keys().map(|device| u32::from(*device)).chain(quarantine.devices.iter().copied());
    let mut ids = Ids::new("devices", MAX_DEVICES, busy);
    let mut devices = Devices::new();
    for (ifindex, device) in &tables.devices {
        let interface = Interface { ifindex: *ifindex, mtu: device.mtu, mac: device.mac };
        let index = match known.get(ifindex) {
            Some(index) => *index,
            // The program looks there first.
            None => u16::try_from(ids.take_near(*ifindex % MAX_DEVICES)?).unwrap_or(0),
        };
        if kernel.interfaces.get(&index) != Some(&interface) {
            draft.push(Stage::Devices, Write::Interface(index, interface));
        }
        devices.insert(*ifindex, index);
    }
    for (device, interface) in &kernel.interfaces {
        if devices.get(&interface.ifindex) != Some(device) {
            draft.push(Stage::DeadDevices, Write::Interface(*device, Interface::default()));
            draft.freed.devices.insert(u32::from(*device));
        }
    }
    Ok(devices)
}
