//! The connection of a client's packet: found, renewed, or made.

use crate::entry::Entry;
use crate::maps::{self, NotStored};
use crate::pair;
use crate::schedule;
use crate::subprograms;
use crate::untracked;
use crate::work::{Terms, Work};
use lb_common::connection::{Connection, Decision, RENEWAL_MS, Rules, Segment, TcpState, decide};
use lb_common::flow::{FlowKey, UDP};
use lb_common::server::{Method, Server, ServerState, mac_of, mac_word};
use lb_common::service::{FLAG_KEEP_ON_DOWN, View};
use lb_common::verdict::{Reason, Verdict};

/// Where an entry was found, as the number that is left to do if the flow is a new one.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Table {
    Neither = OPEN,
    HalfOpen = OPEN_IN_HALF_OPEN,
    Connections = OPEN_IN_CONNECTIONS,
}

/// What is remembered of a flow. Not an `Option`, whose nothing leaves bytes undefined that the verifier refuses to copy.
#[derive(Clone, Copy)]
struct Known {
    entry: Entry,
    table: Table,
}

/// A client's packet and its flow.
struct Client<'a> {
    work: &'a Work,
    flow: FlowKey,
    now: u32,
}

/// The server of a client's packet, remembered as the service wants it; none with the verdict.
#[inline]
pub(crate) fn server_of(work: &mut Work, (view, settings): Terms<'_>) -> Option<&'static Server> {
    let flow = work.parsed.client_flow(work.service);
    if view.is_untracked()
        && let Some(chosen) = untracked::settled(&flow, view)
    {
        work.server = chosen.reference;
        return Some(chosen.server);
    }
    let entry = maps::connection(&flow);
    if let Some(entry) = entry
        && let Some(server) = server_in(&entry, work)
        && is_undisturbed(&entry.connection, server, work)
    {
        renew(entry, TcpState::Established, work.now());
        work.server = entry.connection.server;
        return Some(server);
    }
    work.verdict = Verdict::drop(Reason::NoServer);
    let left = subprograms::follow(work, view, Entry::element(entry), settings);
    if left == ADOPT {
        subprograms::adopt(work, view);
    } else if left != DONE {
        subprograms::open(work, view, left);
    }
    // Named only when the packet goes there.
    maps::server(work.server)
}

/// The server that an entry names. An element that another flow took over meanwhile names one of another service.
#[inline]
fn server_in(entry: &Entry, work: &Work) -> Option<&'static Server> {
    maps::server(entry.connection.server).filter(|server| server.service == work.service)
}

/// Whether nothing but time goes by with this packet: most packets of a known flow.
#[inline]
fn is_undisturbed(connection: &Connection, server: &Server, work: &Work) -> bool {
    connection.is_undisturbed(work.parsed.flags, server.state_of(connection.server))
        && (server.method != Method::Nat as u8 || comes_as_before(connection, work))
}

/// Whether a client's frame comes from the router, and by the interface, that answers go to.
#[inline]
fn comes_as_before(connection: &Connection, work: &Work) -> bool {
    mac_word(connection.mac) == work.mac && connection.device == work.device
}

// What is left to do for a packet after `follow`, as numbers, because a global function returns one.

/// Nothing: it has a server or a verdict.
pub(crate) const DONE: u32 = 0;
/// An open connection that no table knows.
const ADOPT: u32 = 1;
/// A new flow. It has no entry.
const OPEN: u32 = 2;
/// A new flow, and an old one of the same name in the table of first packets.
const OPEN_IN_HALF_OPEN: u32 = 3;
/// A new flow, and an old one of the same name in the table of connections.
const OPEN_IN_CONNECTIONS: u32 = 4;

/// Finds the server of a packet that opens, changes or ends a connection, or belongs to none; or what is to be done for it.
#[inline]
pub(crate) fn follow(work: &mut Work, (view, settings): Terms<'_>, entry: Entry) -> Result<u32, Reason> {
    let flow = work.parsed.client_flow(work.service);
    let now = work.now();
    let known =
        if entry.is_none() { opening(&flow, view, now) } else { Known { entry, table: Table::Connections } };
    let is_known = known.table != Table::Neither;
    if !is_known && work.parsed.segment() != Segment::Syn && settings.holds(now) {
        return Err(Reason::Migrating);
    }
    let reference = known.entry.connection.server;
    let server = server_in(&known.entry, work);
    let client = Client { work, flow, now };
    let state = is_known.then(|| {
        let state = TcpState::from_byte(known.entry.connection.state);
        (state, server.map_or(ServerState::Gone, |server| server.state_of(reference)))
    });
    let rules = Rules { keep_on_down: view.flags & FLAG_KEEP_ON_DOWN != 0, untracked: view.is_untracked() };
    match (decide(work.parsed.segment(), state, rules), server) {
        (Decision::Stay, Some(server)) => {
            let kept = stay(&client, known, server)?;
            (work.server, work.not_remembered) = (reference, !kept);
            Ok(DONE)
        }
        (Decision::Schedule, _) => Ok(known.table as u32),
        (Decision::NoConnection, _) if rules.untracked || view.old_slots.len > 0 => Ok(ADOPT),
        (Decision::ServerDown, _) => Err(Reason::ServerDown),
        (Decision::NoConnection, _) => Err(Reason::NoConnection),
        (Decision::ServerRemoved | Decision::Stay, _) => Err(Reason::ServerRemoved),
    }
}

/// A flow of which one packet was seen, a while ago at most.
#[inline]
fn opening(flow: &FlowKey, view: &View, now: u32) -> Known {
    match maps::half_open(flow) {
        Some(entry) if entry.connection.idle(now) <= opening_timeout(view) => {
            Known { entry, table: Table::HalfOpen }
        }
        _ => Known { entry: Entry::NONE, table: Table::Neither },
    }
}

/// Renews the entry; the second packet of a flow moves it to the table of connections. `false` if that is full.
#[inline]
fn stay(client: &Client<'_>, known: Known, server: &'static Server) -> Result<bool, Reason> {
    let (work, entry) = (client.work, known.entry);
    let mut connection = entry.connection;
    let nat = server.method == Method::Nat as u8;
    let reply = pair::reply_flow(&work.parsed, server);
    if nat && !comes_as_before(&connection, work) {
        (connection.mac, connection.device) = (mac_of(work.mac), work.device);
        entry.set_client_side(connection.mac, connection.device);
        pair::move_reply(&reply, &connection);
    }
    let state = TcpState::from_byte(connection.state).after(work.parsed.flags);
    renew(entry, state, client.now);
    if known.table == Table::Connections || work.parsed.segment() == Segment::Syn {
        return Ok(true);
    }
    (connection.state, connection.last_seen) = (state as u8, client.now);
    if nat {
        pair::promote(&client.flow, &reply, &connection).map(|()| true)
    } else {
        Ok(promote(client, &connection))
    }
}

/// Writes only what changed: a clean cache line stays clean.
#[inline]
pub(crate) fn renew(entry: Entry, state: TcpState, now: u32) {
    let changed = entry.connection.state != state as u8;
    if changed {
        entry.set_state(state);
    }
    if changed || entry.connection.idle(now) >= RENEWAL_MS {
        entry.set_last_seen(now);
    }
}

/// Moves a flow from the table of first packets to the table of connections; `false` if that is full.
#[inline]
fn promote(client: &Client<'_>, connection: &Connection) -> bool {
    // Taken means that another CPU was quicker.
    if maps::add_connection(&client.flow, connection) == Err(NotStored::Full) {
        return false;
    }
    maps::remove_half_open(&client.flow);
    true
}

/// Finds the server of an open connection that no table knows, and remembers it if its slot asks for that.
#[inline]
pub(crate) fn adopt(work: &mut Work, view: &View) -> Result<(), Reason> {
    let flow = work.parsed.client_flow(work.service);
    let (server, is_to_be_remembered) = untracked::owner(&flow, work.service, view)?;
    let now = work.now();
    work.server = server;
    if is_to_be_remembered {
        let connection = Connection {
            server,
            last_seen: now,
            state: TcpState::Established.after(work.parsed.flags) as u8,
            ..Connection::default()
        };
        work.not_remembered = maps::add_connection(&flow, &connection) == Err(NotStored::Full);
    }
    Ok(())
}

/// Chooses a server for a new flow and remembers it, unless its slot is enough; `known` is where it has an entry already.
#[inline]
pub(crate) fn open(work: &mut Work, view: &View, known: u32) -> Result<(), Reason> {
    let flow = work.parsed.client_flow(work.service);
    let (lasting, now) = (known == OPEN_IN_CONNECTIONS, work.now());
    let mut connection =
        Connection { last_seen: now, mac: mac_of(work.mac), device: work.device, ..Connection::default() };
    let chosen = schedule::choose(&flow, work.service, view, Reason::NoServer, |chosen| {
        connection.server = chosen.reference;
        if chosen.server.method != Method::Nat as u8 {
            return Ok(());
        }
        let reply = pair::reply_flow(&work.parsed, chosen.server);
        pair::reserve(&reply, &connection, opening_timeout(view), lasting)
    })?;
    if chosen.is_to_be_remembered() || known != OPEN {
        maps::set_flow(&flow, &connection, lasting).map_err(|_| Reason::TableFull)?;
    }
    work.server = chosen.reference;
    // Of flows that are not remembered, a first packet sent again would count twice.
    work.opened = !view.is_untracked() || chosen.server.method == Method::Nat as u8;
    Ok(())
}

/// Silence after which a first packet is forgotten, in milliseconds.
#[inline]
fn opening_timeout(view: &View) -> u32 {
    if view.protocol == UDP { view.timeouts.udp } else { view.timeouts.syn }
}
