//! What each forwarding method needs on the server.

use std::net::IpAddr;

use anyhow::Result;

use super::Host;

impl Host {
    /// Gives the machine the VIP without a word about it on the wire, as `dr` and `ipip` need it.
    ///
    /// On `lo` with the longest prefix; ARP neither answered nor announced. IPv6 answers solicitations only for
    /// addresses of the interface that asks, so `lo` suffices.
    ///
    /// # Errors
    /// The address is there already.
    pub fn hold_vip(&self, vip: IpAddr) -> Result<()> {
        self.sysctl("net/ipv4/conf/all/arp_ignore", "1")?;
        self.sysctl("net/ipv4/conf/all/arp_announce", "2")?;
        let prefix = if vip.is_ipv6() { 128 } else { 32 };
        self.add_address("lo", &format!("{vip}/{prefix}"))
    }

    /// Prepares a server for `dr`: it holds the VIP.
    ///
    /// # Errors
    /// As [`Host::hold_vip`].
    pub fn serve_dr(&self, vip: IpAddr) -> Result<()> {
        self.hold_vip(vip)
    }

    /// Prepares a server for `nat`: replies leave through the director.
    ///
    /// # Errors
    /// The director's address is not on-link.
    pub fn serve_nat(&self, director: IpAddr) -> Result<()> {
        self.route("default", director)
    }

    /// Prepares a server for `ipip`: it holds the VIPs and unwraps what comes for them on `device`.
    ///
    /// # Errors
    /// As [`Host::hold_vip`] and [`Host::lb_ctl`].
    pub fn serve_ipip(&self, device: &str, vips: &[IpAddr]) -> Result<()> {
        vips.iter().try_for_each(|&vip| self.hold_vip(vip))?;
        let vips: Vec<_> = vips.iter().map(|vip| format!("--vip {vip}")).collect();
        self.lb(&format!("decap attach {device} {}", vips.join(" "))).map(drop)
    }
}
