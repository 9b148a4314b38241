//! The floors: the map operations that a path cannot do without, and nothing else. What the director's program takes
//! beyond them is its own doing.
//!
//! The maps have the names, keys and values of the director's; the bench gives them the same sizes and fills them
//! alike. Headers are read, because keys are made of them; nothing is rewritten. A packet for which a look-up fails
//! is aborted and not counted.

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::bindings::{BPF_ANY, BPF_F_MMAPABLE};
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray};
use aya_ebpf::programs::XdpContext;
use core::mem::MaybeUninit;
use lb_common::address::Address;
use lb_common::connection::{Connection, RENEWAL_MS};
use lb_common::counters::{Count, Settings, Traffic};
use lb_common::flow::{FlowKey, Owner};
use lb_common::index::{self, Indexed};
use lb_common::packet::{PacketBytes as _, PacketResize as _, Parsed, parse};
use lb_common::scheduler::slot_index;
use lb_common::server::{Interface, MAX_DEVICES, Method, Server, ServerRef, ServerState};
use lb_common::service::{Pick, ServiceKey, View};
use lb_common::slots::Slot;
use lb_common::verdict::{REASON_COUNTERS as REASONS, Reason};
use lb_ebpf::xdp_packet::XdpPacket;
use lb_ebpf::zeroed::zeroed;

/// The device that packets come in by.
const FIRST: u16 = 1;
/// The bench says how much room there is.
const ROOM: u32 = 64;

#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
#[map]
static INTERFACES: Array<Interface> = Array::with_max_entries(MAX_DEVICES, 0);
#[map]
static SERVICE_INDEX: Array<u64> = Array::with_max_entries(index::PLACES, 0);
#[map]
static SERVICES: Array<u64> = Array::with_max_entries(ROOM, BPF_F_MMAPABLE);
#[map]
static VIEWS: Array<View> = Array::with_max_entries(ROOM, BPF_F_MMAPABLE);
#[map]
static SLOTS: Array<u64> = Array::with_max_entries(ROOM, BPF_F_MMAPABLE);
#[map]
static SERVERS: Array<Server> = Array::with_max_entries(ROOM, BPF_F_MMAPABLE);
#[map]
static HALF_OPEN: LruHashMap<FlowKey, Connection> = LruHashMap::with_max_entries(ROOM, 0);
#[map]
static CONNECTIONS: HashMap<FlowKey, Connection> = HashMap::with_max_entries(ROOM, 0);
#[map]
static NAT_HOSTS: HashMap<Address, u32> = HashMap::with_max_entries(ROOM, 0);
#[map]
static SERVER_COUNTERS: PerCpuArray<Traffic> = PerCpuArray::with_max_entries(ROOM, 0);
#[map]
static REASON_COUNTERS: PerCpuArray<Count> = PerCpuArray::with_max_entries(REASONS, 0);

/// A packet that is for no service.
#[xdp(frags)]
fn floor_pass(context: XdpContext) -> u32 {
    done(&context, XDP_PASS, |parsed, bytes| {
        if service_id(parsed).is_some() {
            return None;
        }
        count(Reason::NotAService, bytes)
    })
}

/// A packet of a service without connections: the slot says where to.
#[xdp(frags)]
fn floor_untracked(context: XdpContext) -> u32 {
    by_slot(&context)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "the verifier follows the context only in registers")]
fn by_slot(context: &XdpContext) -> u32 {
    done(context, XDP_TX, |parsed, bytes| {
        let (id, view) = service(parsed)?;
        interface(FIRST)?;
        let (reference, server) = chosen(&parsed.client_flow(id), view)?;
        interface(server.next_hop.device)?;
        sent(reference, 0, bytes)
    })
}

/// The same, with room for an outer header in front, which is left as it is.
#[xdp(frags)]
fn floor_tunnel(context: XdpContext) -> u32 {
    match by_slot(&context) {
        XDP_TX if XdpPacket::new(context.ctx).grow_head(20).is_some() => XDP_TX,
        _ => XDP_ABORTED,
    }
}

/// A packet of a known flow: the connection says where to, and is renewed once a second.
#[xdp(frags)]
fn floor_tracked(context: XdpContext) -> u32 {
    done(&context, XDP_TX, |parsed, bytes| {
        let (id, _) = service(parsed)?;
        interface(FIRST)?;
        let reference = known(&parsed.client_flow(id))?;
        interface(server(reference)?.next_hop.device)?;
        sent(reference, 0, bytes)
    })
}

/// The answer of a nat server: for no service, of a known host, of a known flow.
#[xdp(frags)]
fn floor_reply(context: XdpContext) -> u32 {
    done(&context, XDP_TX, |parsed, bytes| {
        if service_id(parsed).is_some() {
            return None;
        }
        // SAFETY: nothing writes the map while it is read.
        let host = unsafe { NAT_HOSTS.get(parsed.source) }?;
        let reference = known(&parsed.reply_flow(*host))?;
        interface(FIRST)?;
        let service = server(reference)?.service;
        // Where the client is: behind the same interface here.
        interface(FIRST)?;
        (view(service)?.port == parsed.source_port).then_some(())?;
        sent(reference, 0, bytes)
    })
}

/// The first packet of a flow: in neither table, scheduled, remembered in the small one.
#[xdp(frags)]
fn floor_new(context: XdpContext) -> u32 {
    done(&context, XDP_TX, |parsed, bytes| {
        let (id, view) = service(parsed)?;
        let flow = parsed.client_flow(id);
        if is_known(&flow) {
            return None;
        }
        interface(FIRST)?;
        let (reference, server) = chosen(&flow, view)?;
        interface(server.next_hop.device)?;
        let connection = Connection { server: reference, last_seen: now(), ..Connection::default() };
        remember(&flow, &connection)?;
        sent(reference, 1, bytes)
    })
}

/// Not a floor: fills the table of connections, in the order in which the director's program does.
#[xdp(frags)]
fn learn(context: XdpContext) -> u32 {
    done(&context, XDP_DROP, |parsed, _| {
        let (id, view) = service(parsed)?;
        let flow = parsed.client_flow(id);
        let (reference, server) = chosen(&flow, view)?;
        let connection = Connection { server: reference, last_seen: now(), ..Connection::default() };
        if server.method == Method::Nat as u8 {
            let reply = FlowKey { owner: Owner::host(server.host, parsed.protocol), ..flow };
            keep(&reply, &connection)?;
        }
        keep(&flow, &connection)
    })
}

/// The action if `work`, of the headers and the length of the frame, was done.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the verifier follows the context only in registers")]
fn done(context: &XdpContext, action: u32, work: impl FnOnce(&Parsed, u64) -> Option<()>) -> u32 {
    let packet = XdpPacket::new(context.ctx);
    let mut place = MaybeUninit::uninit();
    // SAFETY: zeros are what a packet of IPv4 begins with.
    let parsed: &mut Parsed = unsafe { zeroed(&mut place) };
    let length = packet.frame_len();
    let Some(settings) = SETTINGS.get(0) else { return XDP_ABORTED };
    if settings.sample_period != 0 || parse(&packet, length, parsed).is_err() {
        return XDP_ABORTED;
    }
    match work(parsed, length as u64) {
        Some(()) => action,
        None => XDP_ABORTED,
    }
}

// Keys and values are handed on by reference, as in the director's program: a copy on the way to the kernel's function
// took 85 ns of `floor_new`.

#[inline]
fn service_id(parsed: &Parsed) -> Option<u32> {
    service_of(&parsed.service_key())
}

#[inline]
fn service_of(key: &ServiceKey) -> Option<u32> {
    let id = Indexed(*SERVICE_INDEX.get(index::place(key))?).service(key);
    (id != 0).then_some(id)
}

#[inline]
fn is_known(flow: &FlowKey) -> bool {
    CONNECTIONS.get_ptr(flow).is_some() || HALF_OPEN.get_ptr(flow).is_some()
}

#[inline]
fn remember(flow: &FlowKey, connection: &Connection) -> Option<()> {
    HALF_OPEN.insert(flow, connection, u64::from(BPF_ANY)).ok()
}

#[inline]
fn keep(flow: &FlowKey, connection: &Connection) -> Option<()> {
    CONNECTIONS.insert(flow, connection, u64::from(BPF_ANY)).ok()
}

#[inline]
fn service(parsed: &Parsed) -> Option<(u32, &'static View)> {
    let id = service_id(parsed)?;
    Some((id, view(id)?))
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the values are indexes")]
fn view(service: u32) -> Option<&'static View> {
    VIEWS.get(*SERVICES.get(service)? as u32)
}

#[inline]
fn chosen(flow: &FlowKey, view: &View) -> Option<(ServerRef, &'static Server)> {
    let index = slot_index(Pick::Flow, flow.hash(&view.address, true), 0, view.slots.len)?;
    let reference = Slot(*SLOTS.get(view.slots.first + index)?).current();
    Some((reference, server(reference)?))
}

#[inline]
fn server(reference: ServerRef) -> Option<&'static Server> {
    SERVERS.get(reference.id()).filter(|server| server.state_of(reference) == ServerState::Up)
}

/// The server of a known flow.
#[inline]
fn known(flow: &FlowKey) -> Option<ServerRef> {
    let element = CONNECTIONS.get_ptr_mut(flow)?;
    // SAFETY: the kernel gave a pointer to a whole element.
    let connection = unsafe { element.read() };
    let now = now();
    if connection.idle(now) >= RENEWAL_MS {
        // SAFETY: as above.
        let last_seen = unsafe { &raw mut (*element).last_seen };
        // SAFETY: as above; the field is an aligned word.
        unsafe { last_seen.write_volatile(now) };
    }
    Some(connection.server)
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the clock wraps")]
fn now() -> u32 {
    // SAFETY: the helper takes no arguments and reads a clock.
    (unsafe { bpf_ktime_get_coarse_ns() } / 1_000_000) as u32
}

/// The interface with this index, which the packet comes in by or leaves by.
#[inline]
fn interface(device: u16) -> Option<&'static Interface> {
    INTERFACES.get(u32::from(device)).filter(|interface| interface.ifindex != 0)
}

/// Counts what was sent on, for its server.
#[inline]
fn sent(reference: ServerRef, connections: u64, bytes: u64) -> Option<()> {
    let traffic = SERVER_COUNTERS.get_ptr_mut(reference.id())?;
    // SAFETY: the element is this CPU's own.
    let traffic = unsafe { &mut *traffic };
    traffic.connections += connections;
    traffic.in_packets += 1;
    traffic.in_bytes += bytes;
    Some(())
}

#[inline]
fn count(reason: Reason, bytes: u64) -> Option<()> {
    let count = REASON_COUNTERS.get_ptr_mut(u32::from(reason as u8))?;
    // SAFETY: the element is this CPU's own.
    let count = unsafe { &mut *count };
    count.packets += 1;
    count.bytes += bytes;
    Some(())
}
