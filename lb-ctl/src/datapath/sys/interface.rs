//! Interfaces and addresses of the host, as far as attaching needs them.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The index of the interface `name` in this network namespace.
pub(in crate::datapath) fn interface_index(name: &str) -> io::Result<Option<u32>> {
    let Ok(name) = CString::new(name) else { return Ok(None) };
    // SAFETY: `name` is a string that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENXIO)) => Ok(None),
            error => Err(error),
        },
        index => Ok(Some(index)),
    }
}

/// The name of the interface `index`; `None` if there is none.
pub(in crate::datapath) fn interface_name(index: u32) -> io::Result<Option<String>> {
    let mut name = [0_u8; libc::IF_NAMESIZE];
    // SAFETY: `name` has room for the longest name, and outlives the call.
    if unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) }.is_null() {
        return match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENXIO)) => Ok(None),
            error => Err(error),
        };
    }
    let name = CStr::from_bytes_until_nul(&name).map_err(io::Error::other)?;
    Ok(Some(name.to_string_lossy().into_owned()))
}

/// The addresses of this network namespace's interfaces, without loopback ones.
pub(in crate::datapath) fn local_addresses() -> io::Result<BTreeSet<IpAddr>> {
    let mut list = std::ptr::null_mut();
    // SAFETY: `list` outlives the call, which fills it or fails.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut addresses = BTreeSet::new();
    let mut next = list;
    // SAFETY: `next` is null or an entry of the list, which is not freed yet.
    while let Some(entry) = unsafe { next.as_ref() } {
        // SAFETY: `ifa_addr` is null or an address as long as its family's.
        addresses.extend(unsafe { address(entry.ifa_addr) });
        next = entry.ifa_next;
    }
    // SAFETY: the list came from `getifaddrs` and no reference into it is left.
    unsafe { libc::freeifaddrs(list) };
    addresses.retain(|address| !address.is_loopback());
    Ok(addresses)
}

/// The IP address behind `address`, if it is one.
///
/// # Safety
///
/// `address` is null or points to a socket address as long as its family's.
unsafe fn address(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: null or valid, as the caller promises.
    let family = unsafe { address.as_ref() }?.sa_family;
    match i32::from(family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is an IPv4 socket address.
            let address = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr))))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that it is an IPv6 socket address.
            let address = unsafe { address.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(IpAddr::V6(Ipv6Addr::from(address.sin6_addr.s6_addr)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_is_none() {
        assert_eq!(interface_index("no-such-one").unwrap(), None);
        assert_eq!(interface_index("a\0b").unwrap(), None);
        assert_eq!(interface_index("lo").unwrap(), Some(1));
    }

    #[test]
    fn loopback_addresses_are_not_listed() {
        assert!(local_addresses().unwrap().iter().all(|address| !address.is_loopback()));
    }
}
