//! A frame for people: one line a header, as far as it can be followed.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::header::{IPIP, IPV6_IN_IP, TCP, UDP};
use super::{IPV4, IPV6, QINQ, VLAN};

/// The headers of `frame`, one a line, and the rest in hexadecimal.
pub fn describe(frame: &[u8]) -> String {
    let mut text = format!("{} bytes\n", frame.len());
    let rest = ethernet(&mut text, frame);
    if !rest.is_empty() {
        line(&mut text, &format!("payload   {} bytes {}", rest.len(), hex(rest)));
    }
    text
}

/// `bytes` in hexadecimal, cut where a line gets too long.
fn hex(bytes: &[u8]) -> String {
    let mut text: String = bytes.iter().take(40).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    });
    if bytes.len() > 40 {
        text.push_str("...");
    }
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str("  ");
    text.push_str(line);
    text.push('\n');
}

fn ethernet<'a>(text: &mut String, frame: &'a [u8]) -> &'a [u8] {
    let Some((head, mut rest)) = frame.split_at_checked(14) else { return frame };
    let [to @ .., a, b] = head else { return frame };
    let mut ether_type = u16::from_be_bytes([*a, *b]);
    line(
        text,
        &format!(
            "ethernet  {} > {} type {ether_type:04x}",
            hex(to.get(6..).unwrap_or_default()),
            hex(to.get(..6).unwrap_or_default())
        ),
    );
    while let (VLAN | QINQ, [high, low, a, b, behind @ ..]) = (ether_type, rest) {
        ether_type = u16::from_be_bytes([*a, *b]);
        line(text, &format!("tag       {} type {ether_type:04x}", u16::from_be_bytes([*high, *low]) & 0xfff));
        rest = behind;
    }
    match ether_type {
        IPV4 => ipv4(text, rest),
        IPV6 => ipv6(text, rest),
        _ => rest,
    }
}

fn ipv4<'a>(text: &mut String, packet: &'a [u8]) -> &'a [u8] {
    let Some((header, rest)) = packet.split_first_chunk::<20>() else { return packet };
    let [version, tos, len @ ..] = header;
    let [l1, l2, i1, i2, f1, f2, ttl, protocol, c1, c2, s1, s2, s3, s4, d1, d2, d3, d4] = len;
    let word = |high: &u8, low: &u8| u16::from_be_bytes([*high, *low]);
    let (from, to) = (Ipv4Addr::new(*s1, *s2, *s3, *s4), Ipv4Addr::new(*d1, *d2, *d3, *d4));
    let (len, id, fragment, sum) = (word(l1, l2), word(i1, i2), word(f1, f2), word(c1, c2));
    line(
        text,
        &format!(
            "ipv4      {from} > {to} ttl {ttl} protocol {protocol} tos {tos:02x} len {len} id {id:04x} \
             fragment {fragment:04x} checksum {sum:04x} ihl {}",
            version & 15
        ),
    );
    let options = usize::from(version & 15).saturating_sub(5) * 4;
    transport(text, *protocol, rest.get(options..).unwrap_or_default())
}

fn ipv6<'a>(text: &mut String, packet: &'a [u8]) -> &'a [u8] {
    let Some((header, rest)) = packet.split_first_chunk::<40>() else { return packet };
    let [a, b, c, d, l1, l2, next, hop_limit, addresses @ ..] = header;
    let (from, to) = addresses.split_at(16);
    let address = |bytes: &[u8]| <[u8; 16]>::try_from(bytes).map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from);
    let (first, len) = (u32::from_be_bytes([*a, *b, *c, *d]), u16::from_be_bytes([*l1, *l2]));
    line(
        text,
        &format!(
            "ipv6      {} > {} hop limit {hop_limit} next {next} first word {first:08x} len {len}",
            address(from),
            address(to)
        ),
    );
    transport(text, *next, rest)
}

fn transport<'a>(text: &mut String, protocol: u8, segment: &'a [u8]) -> &'a [u8] {
    match protocol {
        TCP => tcp(text, segment),
        UDP => udp(text, segment),
        1 | 58 => icmp(text, protocol, segment),
        IPIP => ipv4(text, segment),
        IPV6_IN_IP => ipv6(text, segment),
        _ => segment,
    }
}

fn tcp<'a>(text: &mut String, segment: &'a [u8]) -> &'a [u8] {
    let Some((header, rest)) = segment.split_first_chunk::<20>() else { return segment };
    let [s1, s2, d1, d2, q1, q2, q3, q4, a1, a2, a3, a4, offset, flags, w1, w2, c1, c2, ..] = header;
    let word = |high: &u8, low: &u8| u16::from_be_bytes([*high, *low]);
    let (seq, ack) = (u32::from_be_bytes([*q1, *q2, *q3, *q4]), u32::from_be_bytes([*a1, *a2, *a3, *a4]));
    let (from, to, window, sum) = (word(s1, s2), word(d1, d2), word(w1, w2), word(c1, c2));
    line(
        text,
        &format!(
            "tcp       {from} > {to} flags {flags:02x} sequence {seq} acknowledgement {ack} \
             window {window} checksum {sum:04x} offset {}",
            offset >> 4
        ),
    );
    rest
}

fn udp<'a>(text: &mut String, segment: &'a [u8]) -> &'a [u8] {
    let Some(([s1, s2, d1, d2, l1, l2, c1, c2], rest)) = segment.split_first_chunk::<8>() else {
        return segment;
    };
    let word = |high: &u8, low: &u8| u16::from_be_bytes([*high, *low]);
    line(
        text,
        &format!(
            "udp       {} > {} len {} checksum {:04x}",
            word(s1, s2),
            word(d1, d2),
            word(l1, l2),
            word(c1, c2)
        ),
    );
    rest
}

fn icmp<'a>(text: &mut String, protocol: u8, message: &'a [u8]) -> &'a [u8] {
    let Some(([kind, code, c1, c2, rest @ ..], quote)) = message.split_first_chunk::<8>() else {
        return message;
    };
    let name = if protocol == 1 { "icmp  " } else { "icmpv6" };
    line(
        text,
        &format!(
            "{name}    type {kind} code {code} rest {} checksum {:04x}, quotes:",
            hex(rest),
            u16::from_be_bytes([*c1, *c2])
        ),
    );
    match (protocol, kind) {
        (1, 3 | 11) => ipv4(text, quote),
        (58, 1..=3) => ipv6(text, quote),
        _ => quote,
    }
}
