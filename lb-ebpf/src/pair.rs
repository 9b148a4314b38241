//! The two entries of a nat connection: what the client sends, and what the server answers.

use crate::entry::Entry;
use crate::maps::{self, NotStored};
use lb_common::connection::{Connection, TcpState};
use lb_common::flow::{FlowKey, Owner};
use lb_common::packet::Parsed;
use lb_common::server::{Server, ServerRef, ServerState};
use lb_common::verdict::Reason;
use zerocopy::network_endian::U16;

/// The flow of a nat server's answers to this packet.
#[inline]
pub(crate) fn reply_flow(parsed: &Parsed, server: &Server) -> FlowKey {
    let port = if server.port == U16::ZERO { parsed.destination_port } else { server.port };
    let owner = Owner::host(server.host, parsed.protocol);
    FlowKey::new(parsed.source, parsed.source_port, port, owner)
}

/// Puts the reply side of a nat flow in, unless the server's end belongs to another flow that lives.
#[inline]
pub(crate) fn reserve(
    reply: &FlowKey,
    connection: &Connection,
    timeout: u32,
    lasting: bool,
) -> Result<(), Reason> {
    let remembered = maps::connection(reply);
    if remembered.is_some_and(|entry| belongs_to_another(&entry.connection, connection.server)) {
        return Err(Reason::NatTupleTaken);
    }
    let fresh = |entry: &Entry| entry.connection.idle(connection.last_seen) <= timeout;
    let half_open = maps::half_open(reply).filter(fresh);
    if half_open.is_some_and(|entry| belongs_to_another(&entry.connection, connection.server)) {
        return Err(Reason::NatTupleTaken);
    }
    maps::set_flow(reply, connection, lasting || remembered.is_some()).map_err(|_| Reason::TableFull)
}

/// Whether `entry` is of another server than `server`, one that is still there, and not closed.
#[inline(never)]
fn belongs_to_another(entry: &Connection, server: ServerRef) -> bool {
    let alive = |server: &Server| server.state_of(entry.server) != ServerState::Gone;
    entry.server != server
        && entry.state != TcpState::Closed as u8
        && maps::server(entry.server).is_some_and(alive)
}

/// Moves both entries from the table of first packets to the table of connections, the reply side first.
#[inline(never)]
pub(crate) fn promote(flow: &FlowKey, reply: &FlowKey, connection: &Connection) -> Result<(), Reason> {
    let seen = maps::half_open(reply).map(|entry| entry.connection);
    let back = seen.filter(|seen| seen.server == connection.server).unwrap_or(*connection);
    match maps::add_connection(reply, &back) {
        Err(NotStored::Full) => return Err(Reason::TableFull),
        Err(NotStored::Taken) if !is_ours(reply, connection.server) => return Err(Reason::NatTupleTaken),
        Ok(()) | Err(NotStored::Taken) => {}
    }
    if maps::add_connection(flow, connection) == Err(NotStored::Full) {
        maps::undo_connection(reply);
        return Err(Reason::TableFull);
    }
    maps::remove_half_open(reply);
    maps::remove_half_open(flow);
    Ok(())
}

#[inline]
fn is_ours(reply: &FlowKey, server: ServerRef) -> bool {
    maps::connection(reply).is_some_and(|entry| entry.connection.server == server)
}

/// The client's frames come from another router, or by another interface: answers follow.
#[inline]
pub(crate) fn move_reply(reply: &FlowKey, connection: &Connection) {
    let entry = maps::connection(reply).or_else(|| maps::half_open(reply));
    if let Some(entry) = entry.filter(|entry| entry.connection.server == connection.server) {
        entry.set_client_side(connection.mac, connection.device);
    }
}
