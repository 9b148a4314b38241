//! A service on an address that the host itself uses: it must not cut off what listens there, like the way in by ssh.

use crate::api::Failure;
use crate::config::model::{Ports, Protocol, Service};
use std::fs;
use std::net::IpAddr;

/// Sockets that wait for clients, in the fourth column of /proc/net/tcp and /proc/net/udp.
const LISTENS: [(Protocol, &str); 2] = [(Protocol::Tcp, "0A"), (Protocol::Udp, "07")];

/// Judges services on addresses of the host; `listens` tells whether something has that address and port.
///
/// # Errors
///
/// The first service that would take what the host itself answers.
pub(super) fn check(
    services: &[&Service],
    listens: impl Fn(IpAddr, u16, Protocol) -> bool,
) -> Result<(), Failure> {
    for service in services {
        let (vip, protocol) = (service.vip, service.protocol);
        let refuse = |reason: String| {
            Failure::failed(format!(
                "cannot use service {}: {vip} is an address of this host, {reason}",
                service.name
            ))
        };
        if service.port == Ports::Any {
            let reason = format!("and port any/{protocol} of it would cut off this host, ssh included");
            return Err(refuse(reason).with_hint("name the ports, or use an address of its own as VIP"));
        }
        if let Some(port) = service.port.iter().find(|port| listens(vip, *port, protocol)) {
            let reason = format!("and something on this host listens on port {port}/{protocol} of it");
            return Err(refuse(reason).with_hint("use another port, or an address of its own as VIP"));
        }
    }
    Ok(())
}

/// Whether something on this host listens there. What cannot be read does not block a change.
pub(super) fn listens(address: IpAddr, port: u16, protocol: Protocol) -> bool {
    let tables = ["", "6"].map(|family| format!("/proc/net/{protocol}{family}"));
    tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .any(|table| has(&table, address, port, protocol))
}

fn has(table: &str, address: IpAddr, port: u16, protocol: Protocol) -> bool {
    let state = LISTENS.iter().find(|(known, _)| *known == protocol).map(|(_, state)| *state);
    table.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, found) = (words.next().and_then(socket), words.nth(1));
        found == state
            && local
                .is_some_and(|(own, own_port)| own_port == port && (own == address || own.is_unspecified()))
    })
}

/// `0100007F:0016`: words of the address as the processor holds them, and the port.
fn socket(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let mut bytes = Vec::new();
    for start in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(start..start + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let v4 = || <[u8; 4]>::try_from(bytes.as_slice()).ok().map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(bytes.as_slice()).ok().map(IpAddr::from);
    Some((v4().or_else(v6)?.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    fn service(port: &str) -> Service {
        let text = format!(
            "[[service]]\nname = \"own\"\nvip = \"192.0.2.2\"\nport = {port}\nprotocol = \"tcp\"\n[[pool]]\nname = \"own\"\n"
        );
        crate::config::parse::from_toml(&text, "test").unwrap().services.remove(0)
    }

    #[test]
    fn what_would_cut_off_the_host_is_refused() {
        let rows = [
            ("\"any\"", Some("ssh")),
            ("22", Some("listens on port 22/tcp")),
            ("[80, 22]", Some("listens on port 22/tcp")),
            ("80", None),
        ];
        for (port, want) in rows {
            let verdict = check(&[&service(port)], |_, port, _| port == 22);
            match want {
                None => assert_eq!(verdict, Ok(()), "{port}"),
                Some(want) => assert!(verdict.unwrap_err().message.contains(want), "{port}"),
            }
        }
    }

    #[test]
    fn a_socket_that_waits_for_clients_is_found_in_proc() {
        for address in ["127.0.0.1", "0.0.0.0", "::1", "::"] {
            let address: IpAddr = address.parse().unwrap();
            let (tcp, udp) =
                (TcpListener::bind((address, 0)).unwrap(), UdpSocket::bind((address, 0)).unwrap());
            let (tcp_port, udp_port) = (tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port());
            assert!(listens(address, tcp_port, Protocol::Tcp), "{address}");
            assert!(listens(address, udp_port, Protocol::Udp), "{address}");
            drop((tcp, udp));
            assert!(!listens(address, tcp_port, Protocol::Tcp), "{address}");
        }
        assert!(!has(
            "  sl\n 0: 0100007F:0016 00000000:0000 0A\n",
            "192.0.2.2".parse().unwrap(),
            22,
            Protocol::Tcp
        ));
    }
}
