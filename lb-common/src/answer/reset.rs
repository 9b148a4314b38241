//! TCP resets (RFC 9293, section 3.10.7.1).

use super::{set_frame_len, write_headers};
use crate::connection::TcpFlags;
use crate::flow::TCP;
use crate::packet::{PacketResize, Parsed};
use crate::wire::checksum::Sum;
use crate::wire::tcp::TcpHeader;
use zerocopy::network_endian::{U16, U32};

const LEN: u16 = 20;

/// Turns a TCP packet into the reset that answers it.
#[inline(never)]
pub(super) fn write<P: PacketResize + ?Sized>(packet: &mut P, parsed: &Parsed) -> Option<()> {
    let offset = parsed.family.l4_offset();
    set_frame_len(packet, offset + usize::from(LEN))?;
    write_headers(packet, parsed, TCP, LEN)?;
    let tcp: &mut TcpHeader = packet.load_mut(offset)?;
    *tcp = reset(tcp, parsed);
    Some(())
}

#[inline]
fn reset(tcp: &TcpHeader, parsed: &Parsed) -> TcpHeader {
    let header = parsed.family.header_len() + tcp.header_len();
    let phantom = u32::from(parsed.flags.has(TcpFlags::SYN)) + u32::from(parsed.flags.has(TcpFlags::FIN));
    let segment =
        parsed.ip_len.saturating_sub(u32::try_from(header).unwrap_or(u32::MAX)).wrapping_add(phantom);
    let (sequence, acknowledgement, flags) = if parsed.flags.has(TcpFlags::ACK) {
        (tcp.acknowledgement, U32::ZERO, TcpFlags::RST)
    } else {
        (U32::ZERO, U32::new(tcp.sequence.get().wrapping_add(segment)), TcpFlags::RST | TcpFlags::ACK)
    };
    let mut reset = TcpHeader {
        source: tcp.destination,
        destination: tcp.source,
        sequence,
        acknowledgement,
        data_offset: 5 << 4,
        flags,
        window: U16::ZERO,
        checksum: U16::ZERO,
        urgent: U16::ZERO,
    };
    reset.checksum =
        Sum::NONE.add_pseudo_header(&parsed.destination, &parsed.source, TCP, LEN).and(&reset).finish();
    reset
}
