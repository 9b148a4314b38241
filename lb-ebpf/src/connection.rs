//! The connection of a client's packet: found, renewed, or made.

use crate::maps::{self, NotStored};
use crate::schedule::{self, Chosen};
use crate::work::Work;
use core::ptr::NonNull;
use lb_common::connection::{Connection, Decision, Segment, TcpState, decide};
use lb_common::flow::{FlowKey, UDP};
use lb_common::packet::Parsed;
use lb_common::server::{Method, Server, ServerRef, ServerState, mac_of, mac_word};
use lb_common::service::{FLAG_KEEP_ON_DOWN, View};
use lb_common::verdict::Reason;
use zerocopy::network_endian::U16;

/// Where an entry was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Connections,
    HalfOpen,
}

/// A remembered flow.
#[derive(Clone, Copy)]
struct Known {
    entry: *mut Connection,
    table: Table,
    reference: ServerRef,
    state: TcpState,
}

/// A client's packet, its service and its flow.
struct Client<'a> {
    work: &'a Work,
    view: &'a View,
    flow: FlowKey,
}

/// The server of a client's packet, remembered as the service wants it.
#[inline]
pub(crate) fn server_of(work: &mut Work, view: &View) -> Result<&'static Server, Reason> {
    let client = Client { work, view, flow: work.parsed.client_flow(work.service) };
    let known = find(&client.flow, view, work.now);
    let server = known.and_then(|known| maps::server(known.reference));
    let state = known.map(|known| {
        (known.state, server.map_or(ServerState::Gone, |server| server.state_of(known.reference)))
    });
    match (decide(work.parsed.segment(), state, view.flags & FLAG_KEEP_ON_DOWN != 0), known, server) {
        (Decision::Stay, Some(known), Some(server)) => {
            let kept = stay(&client, known, server);
            work.server = known.reference;
            match kept {
                Err(Reason::NotRemembered) => work.not_remembered = true,
                other => other?,
            }
            Ok(server)
        }
        (Decision::Schedule, _, _) => {
            let replaced = known
                .filter(|known| known.table == Table::Connections)
                .and_then(|known| NonNull::new(known.entry));
            let chosen = open(&client, replaced)?;
            work.server = chosen.reference;
            work.opened = true;
            Ok(chosen.server)
        }
        (Decision::ServerDown, _, _) => Err(Reason::ServerDown),
        (Decision::NoConnection, _, _) => Err(Reason::NoConnection),
        (Decision::ServerRemoved | Decision::Stay, _, _) => Err(Reason::ServerRemoved),
    }
}

#[inline]
fn find(flow: &FlowKey, view: &View, now: u32) -> Option<Known> {
    if let Some(entry) = maps::connection(flow) {
        // SAFETY: the pointer is to a whole value; a race costs one packet a wrong, but valid, server.
        let connection = unsafe { *entry };
        let (reference, state) = (connection.server, TcpState::from_byte(connection.state));
        return Some(Known { entry, table: Table::Connections, reference, state });
    }
    let entry = maps::half_open(flow)?;
    // SAFETY: as above.
    let connection = unsafe { *entry };
    let (reference, state) = (connection.server, TcpState::from_byte(connection.state));
    (connection.idle(now) <= opening_timeout(view)).then_some(Known {
        entry,
        table: Table::HalfOpen,
        reference,
        state,
    })
}

/// Renews the entry; the second packet of a flow moves it to the table of connections.
#[inline]
fn stay(client: &Client<'_>, known: Known, server: &'static Server) -> Result<(), Reason> {
    let (work, parsed) = (client.work, &client.work.parsed);
    let state = known.state.after(parsed.flags);
    let nat = server.method == Method::Nat as u8;
    // SAFETY: the pointer is to a whole value.
    let entry = unsafe { &mut *known.entry };
    if nat && mac_word(entry.mac) != work.mac {
        entry.mac = mac_of(work.mac);
        move_reply(&reply_flow(parsed, server), work);
    }
    renew(entry, state, work.now);
    if known.table == Table::Connections || parsed.segment() == Segment::Syn {
        return Ok(());
    }
    promote(client, entry, nat.then_some(server))
}

/// Writes only what changed: a clean cache line stays clean.
#[inline]
pub(crate) fn renew(entry: &mut Connection, state: TcpState, now: u32) {
    const GRAIN_MS: u32 = 1_000;
    if entry.state != state as u8 {
        entry.state = state as u8;
        entry.last_seen = now;
    } else if entry.idle(now) >= GRAIN_MS {
        entry.last_seen = now;
    }
}

/// Moves a flow from the table of first packets to the table of connections; a nat flow with its reply side, first.
#[inline(never)]
fn promote(client: &Client<'_>, entry: &Connection, nat: Option<&'static Server>) -> Result<(), Reason> {
    let (connection, flow) = (*entry, &client.flow);
    let Some(server) = nat else {
        maps::add_connection(flow, &connection).map_err(|_| Reason::NotRemembered)?;
        maps::remove_half_open(flow);
        return Ok(());
    };
    let reply = reply_flow(&client.work.parsed, server);
    let mut back = connection;
    if let Some(seen) = maps::half_open(&reply) {
        // SAFETY: the pointer is to a whole value.
        back = unsafe { *seen };
    }
    match maps::add_connection(&reply, &back) {
        Err(NotStored::Full) => return Err(Reason::TableFull),
        Err(NotStored::Taken) if !is_ours(&reply, connection.server) => return Err(Reason::NatTupleTaken),
        Ok(()) | Err(NotStored::Taken) => {}
    }
    if maps::add_connection(flow, &connection) == Err(NotStored::Full) {
        maps::undo_connection(&reply);
        return Err(Reason::TableFull);
    }
    maps::remove_half_open(&reply);
    maps::remove_half_open(flow);
    Ok(())
}

/// Chooses a server for a new flow and remembers it.
#[inline(never)]
fn open(client: &Client<'_>, replaced: Option<NonNull<Connection>>) -> Result<Chosen, Reason> {
    let work = client.work;
    let mut connection = Connection {
        last_seen: work.now,
        mac: mac_of(work.mac),
        device: work.device,
        ..Connection::default()
    };
    let chosen = schedule::choose(&client.flow, work.service, client.view, Reason::NoServer, |chosen| {
        connection.server = chosen.reference;
        if chosen.server.method != Method::Nat as u8 {
            return Ok(());
        }
        let reply = reply_flow(&work.parsed, chosen.server);
        reserve_reply(&reply, &connection, opening_timeout(client.view), replaced.is_some())
    })?;
    match replaced {
        // SAFETY: the pointer is to a whole value.
        Some(entry) => unsafe { entry.write(connection) },
        None => maps::set_half_open(&client.flow, &connection).unwrap_or(()),
    }
    Ok(chosen)
}

/// Silence after which a first packet is forgotten, in milliseconds.
#[inline]
fn opening_timeout(view: &View) -> u32 {
    if view.protocol == UDP { view.timeouts.udp } else { view.timeouts.syn }
}

/// Puts the reply side of a nat flow in, unless the server's end belongs to another flow.
#[inline]
fn reserve_reply(
    reply: &FlowKey,
    connection: &Connection,
    timeout: u32,
    lasting: bool,
) -> Result<(), Reason> {
    if let Some(entry) = maps::connection(reply) {
        // SAFETY: the pointer is to a whole value.
        let entry = unsafe { &mut *entry };
        if entry.server != connection.server {
            return Err(Reason::NatTupleTaken);
        }
        *entry = *connection;
        return Ok(());
    }
    if let Some(entry) = maps::half_open(reply) {
        // SAFETY: the pointer is to a whole value.
        let entry = unsafe { *entry };
        if entry.server != connection.server && entry.idle(connection.last_seen) <= timeout {
            return Err(Reason::NatTupleTaken);
        }
    }
    let stored = if lasting {
        maps::add_connection(reply, connection)
    } else {
        maps::set_half_open(reply, connection)
    };
    stored.map_err(|_| Reason::TableFull)
}

/// The flow of a nat server's answers to this packet.
#[inline]
fn reply_flow(parsed: &Parsed, server: &Server) -> FlowKey {
    let port = if server.port == U16::ZERO { parsed.destination_port } else { server.port };
    FlowKey {
        client: parsed.source,
        client_port: parsed.source_port,
        port,
        owner: lb_common::flow::Owner::host(server.host, parsed.protocol),
    }
}

#[inline]
fn is_ours(reply: &FlowKey, server: ServerRef) -> bool {
    // SAFETY: the pointer is to a whole value.
    maps::connection(reply).is_some_and(|entry| unsafe { (*entry).server } == server)
}

/// The client's frames come from another router, or by another interface: answers follow.
#[inline]
fn move_reply(reply: &FlowKey, work: &Work) {
    let Some(entry) = maps::connection(reply).or_else(|| maps::half_open(reply)) else { return };
    // SAFETY: the pointer is to a whole value.
    let entry = unsafe { &mut *entry };
    entry.mac = mac_of(work.mac);
    entry.device = work.device;
}
