//! Which service packets find, as the program does it: by a word of the index, or by the keys where several share it.

use super::machine::Machine;
use lb_common::address::Address;
use lb_common::index::{Indexed, place};
use lb_common::service::ServiceKey;
use std::collections::BTreeMap;

impl Machine {
    /// The keys whose packets find a service by the index, and which.
    pub(super) fn found(&self) -> BTreeMap<ServiceKey, u32> {
        let of_word = |(at, word): (&u32, &Indexed)| -> Vec<(ServiceKey, u32)> {
            if *word == Indexed::SEVERAL {
                return self
                    .keys
                    .iter()
                    .filter(|(key, _)| place(key) == *at)
                    .map(|(k, i)| (*k, *i))
                    .collect();
            }
            let [id, end] = [word.0, word.0 >> 32].map(|half| u32::try_from(half & 0xffff_ffff).unwrap());
            let [port_high, port_low, protocol, _] = end.to_le_bytes();
            let port = u16::from_be_bytes([port_high, port_low]).into();
            let keys: Vec<_> = match self.services.get(&id).and_then(|view| self.views.get(view)) {
                Some(view) => vec![ServiceKey::new(view.address, port, protocol)],
                None => self.keys.keys().copied().collect(),
            };
            keys.into_iter().filter(|key| place(key) == *at).map(|key| (key, id)).collect()
        };
        self.index.iter().flat_map(of_word).collect()
    }

    /// The VIP of a service.
    pub(super) fn vip(&self, service: u32) -> Option<Address> {
        self.services.get(&service).and_then(|view| self.views.get(view)).map(|view| view.address)
    }
}
