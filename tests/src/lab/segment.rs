//! Wires: pairs of veth between two machines, and bridges that join many.

use std::net::IpAddr;

use anyhow::{Context, Result};

use super::{Host, Lab, device};

/// One end of a wire in a machine.
#[derive(Debug, Clone)]
pub struct Port {
    /// The machine.
    pub host: Host,
    /// The device's name.
    pub device: String,
    /// The MAC address.
    pub mac: [u8; 6],
}

/// A switch: whatever is plugged in shares one Ethernet segment.
#[derive(Debug)]
pub struct Segment<'lab> {
    lab: &'lab Lab,
    switch: Host,
    bridge: String,
}

impl<'lab> Segment<'lab> {
    pub(super) fn create(lab: &'lab Lab, switch: &Host, bridge: &str) -> Result<Self> {
        let mac = mac_text(mac_of(lab.next_device()));
        // No snooping: neighbour discovery has to pass before any membership report was seen.
        switch.ip(&format!(
            "link add name {bridge} address {mac} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        ))?;
        switch.ip(&format!("link set dev {bridge} up"))?;
        Ok(Self { lab, switch: switch.clone(), bridge: bridge.to_owned() })
    }

    /// The switch `bridge` on `switch`, which is there already.
    pub(super) fn of(lab: &'lab Lab, switch: &Host, bridge: &str) -> Self {
        Self { lab, switch: switch.clone(), bridge: bridge.to_owned() }
    }

    /// The machine and the bridge that it is.
    pub(super) fn place(&self) -> (Host, String) {
        (self.switch.clone(), self.bridge.clone())
    }

    /// Gives `host` the device `device` in this segment, with `addresses` such as `10.0.0.1/24`.
    ///
    /// # Errors
    /// The machine has such a device, or an address is not one.
    pub fn plug<S: AsRef<str>>(&self, host: &Host, device: &str, addresses: &[S]) -> Result<Port> {
        let socket = format!("port{}", self.lab.next_device());
        let port = self.lab.pair(host, device, &self.switch, &socket)?;
        let program = self.lab.pass_program();
        self.switch.ip(&format!("link set dev {socket} xdpdrv pinned {}", program.display()))?;
        self.switch.ip(&format!("link set dev {socket} master {} up", self.bridge))?;
        port.bring_up(addresses)?;
        Ok(port)
    }
}

impl Lab {
    /// Joins two machines by a wire of their own; gives its two ends in this order.
    ///
    /// Neither end has a program: what one sends by `XDP_TX` may arrive late. Directors belong on a [`Segment`].
    ///
    /// # Errors
    /// A machine has such a device.
    pub fn wire(&self, one: (&Host, &str), other: (&Host, &str)) -> Result<(Port, Port)> {
        let near = self.pair(one.0, one.1, other.0, other.1)?;
        let mac = mac_of(self.next_device());
        other.0.ip(&format!("link set dev {} address {}", other.1, mac_text(mac)))?;
        let far = Port { host: other.0.clone(), device: other.1.to_owned(), mac };
        far.host.ip(&format!("link set dev {} up", far.device))?;
        near.bring_up::<&str>(&[])?;
        Ok((near, far))
    }

    /// Makes the pair of devices, both down, with their offloads set.
    fn pair(&self, host: &Host, device: &str, peer: &Host, peer_device: &str) -> Result<Port> {
        let mac = mac_of(self.next_device());
        let (address, namespace) = (mac_text(mac), peer.netns());
        host.ip(&format!(
            "link add name {device} address {address} type veth peer name {peer_device} netns {namespace}"
        ))?;
        device::prepare(host, device)?;
        device::prepare(peer, peer_device)?;
        Ok(Port { host: host.clone(), device: device.to_owned(), mac })
    }
}

impl Port {
    /// Adds an address such as `10.0.0.1/24` or `2001:db8::1/64`, usable at once.
    ///
    /// # Errors
    /// It is not an address.
    pub fn add_address(&self, address: &str) -> Result<()> {
        self.host.add_address(&self.device, address)
    }

    /// The MAC address in the usual notation.
    pub fn mac_text(&self) -> String {
        mac_text(self.mac)
    }

    fn bring_up<S: AsRef<str>>(&self, addresses: &[S]) -> Result<()> {
        self.host.ip(&format!("link set dev {} up", self.device))?;
        for address in addresses {
            self.add_address(address.as_ref())?;
        }
        device::wait_running(&self.host, &self.device)
    }
}

impl Host {
    /// Adds an address with its prefix length to a device; without duplicate address detection.
    ///
    /// # Errors
    /// It is not an address, or the device is unknown.
    pub fn add_address(&self, device: &str, address: &str) -> Result<()> {
        let nodad = if address.contains(':') { "nodad" } else { "" };
        self.ip(&format!("address add {address} dev {device} {nodad}")).map(drop)
    }

    /// Sends what is for `prefix` (`default` means all of the gateway's family) to `gateway`.
    ///
    /// # Errors
    /// The gateway is not on-link.
    pub fn route(&self, prefix: &str, gateway: IpAddr) -> Result<()> {
        let family = if gateway.is_ipv6() { "-6" } else { "-4" };
        self.ip(&format!("{family} route replace {prefix} via {gateway}")).map(drop)
    }

    /// Makes the machine a router.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn forward_packets(&self) -> Result<()> {
        self.sysctl("net/ipv4/ip_forward", "1")?;
        self.sysctl("net/ipv6/conf/all/forwarding", "1").context("the kernel has no IPv6")
    }
}

/// A locally administered address that is the same in every run, so that captures can be compared.
fn mac_of(device: u16) -> [u8; 6] {
    let [high, low] = device.to_be_bytes();
    [0x02, 0x6c, 0x62, 0x00, high, low]
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
