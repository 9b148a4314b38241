//! Headers as bytes, and the Internet checksum in its plainest form.

use super::header::{Header, Ipv4, Ipv6, Tcp, Udp};
use super::header::{TCP, UDP};

/// The bytes of `headers`, the outermost first, with `payload` behind them.
pub(super) fn headers(headers: &[Header], payload: &[u8]) -> Vec<u8> {
    let mut bytes = payload.to_vec();
    for (place, header) in headers.iter().enumerate().rev() {
        let (outer, inner) = headers.split_at(place);
        bytes = match header {
            Header::V4(ip) => ipv4(ip, Header::protocol(inner.get(1)), &bytes),
            Header::V6(ip) => ipv6(ip, Header::protocol(inner.get(1)), &bytes),
            Header::Tcp(header) => tcp(header, outer.last(), &bytes),
            Header::Udp(header) => udp(header, outer.last(), &bytes),
        };
    }
    bytes
}

/// The Internet checksum of `data` (RFC 1071): the complement of the sum of its words, carries added again.
pub fn checksum(data: &[u8]) -> u16 {
    let words = data.chunks(2).map(|pair| match pair {
        [high, low] => u64::from(*high) * 256 + u64::from(*low),
        [high] => u64::from(*high) * 256,
        _ => 0,
    });
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

fn ipv4(ip: &Ipv4, protocol: u8, body: &[u8]) -> Vec<u8> {
    let header_len = 20 + ip.options.len();
    let words = u8::try_from(header_len / 4).unwrap_or_default();
    let len = ip.len.unwrap_or_else(|| word(header_len + body.len()));
    let head = [
        &[ip.version << 4 | words, ip.tos][..],
        &len.to_be_bytes(),
        &ip.id.to_be_bytes(),
        &ip.fragment.to_be_bytes(),
        &[ip.ttl, ip.protocol.unwrap_or(protocol)],
    ]
    .concat();
    let tail = [&ip.source.octets()[..], &ip.destination.octets(), &ip.options].concat();
    let sum = checksum(&[&head[..], &tail].concat()).to_be_bytes();
    [&head[..], &sum, &tail, body].concat()
}

fn ipv6(ip: &Ipv6, protocol: u8, body: &[u8]) -> Vec<u8> {
    let protocol = ip.protocol.unwrap_or(protocol);
    let (first, extension) = ip.extension.clone().unwrap_or((protocol, Vec::new()));
    let len = ip.len.unwrap_or_else(|| word(extension.len() + body.len()));
    let start = u32::from(ip.version) << 28 | u32::from(ip.class) << 20;
    let numbers = [&start.to_be_bytes()[..], &len.to_be_bytes(), &[first, ip.hop_limit]].concat();
    [&numbers[..], &ip.source.octets(), &ip.destination.octets(), &extension, body].concat()
}

fn tcp(tcp: &Tcp, ip: Option<&Header>, body: &[u8]) -> Vec<u8> {
    let words = u8::try_from(5 + tcp.options.len() / 4).unwrap_or_default();
    let head = [
        &tcp.source.to_be_bytes()[..],
        &tcp.destination.to_be_bytes(),
        &tcp.sequence.to_be_bytes(),
        &tcp.acknowledgement.to_be_bytes(),
        &[words << 4, tcp.flags],
        &tcp.window.to_be_bytes(),
    ]
    .concat();
    let tail = [&[0, 0][..], &tcp.options, body].concat();
    let sum = transport_checksum(ip, TCP, &[&head[..], &[0, 0], &tail].concat());
    [&head[..], &sum.to_be_bytes(), &tail].concat()
}

fn udp(udp: &Udp, ip: Option<&Header>, body: &[u8]) -> Vec<u8> {
    let len = word(8 + body.len());
    let head = [udp.source.to_be_bytes(), udp.destination.to_be_bytes(), len.to_be_bytes()].concat();
    let sum = udp.checksum.unwrap_or_else(|| {
        let sum = transport_checksum(ip, UDP, &[&head[..], &[0, 0], body].concat());
        // RFC 768: zero would mean that there is none.
        if sum == 0 { 0xffff } else { sum }
    });
    [&head[..], &sum.to_be_bytes(), body].concat()
}

/// The checksum of `data` behind the pseudo-header that `ip` gives (RFC 9293, section 3.1; RFC 8200, section 8.1).
fn transport_checksum(ip: Option<&Header>, protocol: u8, data: &[u8]) -> u16 {
    let (source, destination) = match ip {
        Some(Header::V4(ip)) => (ip.source.octets().to_vec(), ip.destination.octets().to_vec()),
        Some(Header::V6(ip)) => (ip.source.octets().to_vec(), ip.destination.octets().to_vec()),
        Some(Header::Tcp(_) | Header::Udp(_)) | None => (Vec::new(), Vec::new()),
    };
    let len = word(data.len()).to_be_bytes();
    checksum(&[&source[..], &destination, &[0, protocol], &len, data].concat())
}

/// `len` as a length field; what does not fit is written as the largest.
fn word(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}
