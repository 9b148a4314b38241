//! Answers of nat servers: their source becomes the VIP again.

use crate::connection::renew;
use crate::entry::Entry;
use crate::forward::Exit;
use crate::maps;
use crate::work::Work;
use lb_common::connection::TcpState;
use lb_common::counters::Settings;
use lb_common::flow::FlowKey;
use lb_common::forward::nat::{self, End};
use lb_common::packet::Parsed;
use lb_common::server::{NextHop, ServerState};
use lb_common::verdict::{Reason, Verdict};
use lb_ebpf::xdp_packet::XdpPacket;
use zerocopy::network_endian::U16;

/// Sends a nat server's answer to its client; passes what is none.
///
/// While the tables are copied, what a nat server sends may be the answer of a flow that is not there yet.
#[inline]
pub(crate) fn translate(packet: &mut XdpPacket, work: &mut Work, settings: &Settings) -> Verdict {
    let Some(flow) = reply_flow(&work.parsed) else { return Verdict::pass(Reason::NotAService) };
    let found = maps::connection(&flow).or_else(|| maps::half_open(&flow));
    if found.is_none() && !settings.holds(work.now()) {
        return Verdict::pass(Reason::NotAService);
    }
    match (work.arrive(packet), found) {
        (Ok(()), Some(entry)) => back(packet, work, entry).unwrap_or_else(Verdict::drop),
        (Ok(()), None) => Verdict::drop(Reason::Migrating),
        (Err(verdict), _) => verdict,
    }
}

#[inline]
fn reply_flow(parsed: &Parsed) -> Option<FlowKey> {
    Some(parsed.reply_flow(maps::nat_host(parsed.source)?))
}

#[inline]
fn back(packet: &mut XdpPacket, work: &mut Work, entry: Entry) -> Result<Verdict, Reason> {
    let connection = entry.connection;
    let server = maps::server(connection.server).ok_or(Reason::ServerRemoved)?;
    if server.state_of(connection.server) == ServerState::Gone || server.address != work.parsed.source {
        return Err(Reason::ServerRemoved);
    }
    let view = maps::view_of(server.service).ok_or(Reason::ServerRemoved)?;
    let now = work.now();
    renew(entry, TcpState::from_byte(connection.state).after(work.parsed.flags), now);
    (work.service, work.server, work.reply) = (server.service, connection.server, true);
    let parsed = &work.parsed;
    let exit = Exit::find(NextHop { mac: connection.mac, device: u16::from(connection.device) })?;
    if exit.is_too_narrow(parsed) {
        return Err(Reason::TooBig);
    }
    let port = if server.port == U16::ZERO { parsed.source_port } else { view.port };
    nat::forward(packet, parsed, End::Source, &view.address, port).ok_or(Reason::Truncated)?;
    Ok(exit.leave(packet, work.ifindex, Reason::RepliedNat))
}
