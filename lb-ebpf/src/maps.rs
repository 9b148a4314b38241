//! The maps: the only file that names one. Everything else asks these functions.

use crate::entry::Entry;
use aya_ebpf::bindings::xdp_action::XDP_DROP;
use aya_ebpf::bindings::{BPF_ANY, BPF_F_MMAPABLE, BPF_NOEXIST};
use aya_ebpf::helpers::generated::{bpf_get_prandom_u32, bpf_ktime_get_coarse_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, DevMap, HashMap, LruHashMap, PerCpuArray, RingBuf};
use lb_common::address::Address;
use lb_common::connection::Connection;
use lb_common::counters::{Count, Retired, Settings, Traffic};
use lb_common::event::Event;
use lb_common::flow::FlowKey;
use lb_common::index::{self, Indexed};
use lb_common::maps as sizes;
use lb_common::rate::Bucket;
use lb_common::server::{Interface, MAX_DEVICES, NextHop, Server, ServerRef};
use lb_common::service::{ServiceKey, View};
use lb_common::slots::Slot;
use lb_common::verdict::REASON_COUNTERS as REASONS;

#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static SERVICE_INDEX: Array<u64> = Array::with_max_entries(index::PLACES, BPF_F_MMAPABLE);
#[map]
static SERVICE_KEYS: HashMap<ServiceKey, u32> = HashMap::with_max_entries(sizes::MAX_SERVICE_KEYS, 0);
#[map]
static SERVICES: Array<u64> = Array::with_max_entries(sizes::MAX_SERVICES, BPF_F_MMAPABLE);
#[map]
static VIEWS: Array<View> = Array::with_max_entries(sizes::MAX_VIEWS, BPF_F_MMAPABLE);
#[map]
static SLOTS: Array<u64> = Array::with_max_entries(sizes::MAX_SLOTS, BPF_F_MMAPABLE);
#[map]
static SERVERS: Array<Server> = Array::with_max_entries(sizes::MAX_SERVERS, BPF_F_MMAPABLE);
#[map]
static HALF_OPEN: LruHashMap<FlowKey, Connection> = LruHashMap::with_max_entries(sizes::MAX_HALF_OPEN, 0);
#[map]
static CONNECTIONS: HashMap<FlowKey, Connection> = HashMap::with_max_entries(sizes::MAX_CONNECTIONS, 0);
#[map]
static NAT_HOSTS: HashMap<Address, u32> = HashMap::with_max_entries(sizes::MAX_NAT_HOSTS, 0);
#[map]
static SEQUENCE: Array<u64> = Array::with_max_entries(sizes::MAX_SERVICES, 0);
#[map]
static INTERFACES: Array<Interface> = Array::with_max_entries(MAX_DEVICES, 0);
#[map]
static INTERFACE_KEYS: HashMap<u32, u32> = HashMap::with_max_entries(MAX_DEVICES, 0);
#[map]
static DEVICES: DevMap = DevMap::with_max_entries(MAX_DEVICES, 0);
#[map]
static SERVER_COUNTERS: PerCpuArray<Traffic> = PerCpuArray::with_max_entries(sizes::MAX_SERVERS, 0);
#[map]
static REASON_COUNTERS: PerCpuArray<Count> = PerCpuArray::with_max_entries(REASONS, 0);
#[map]
static SERVICE_COUNTERS: Array<Retired> = Array::with_max_entries(sizes::MAX_SERVICES, 0);
#[map]
static ANSWER_RATE: PerCpuArray<Bucket> = PerCpuArray::with_max_entries(1, 0);
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(sizes::EVENTS_BYTES, 0);

/// Coarse monotonic clock in milliseconds, modulo 2^32.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the clock wraps")]
pub(crate) fn now() -> u32 {
    (clock() / 1_000_000) as u32
}

/// Coarse monotonic clock in nanoseconds.
#[inline]
pub(crate) fn clock() -> u64 {
    // SAFETY: the helper takes no arguments and reads a clock.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// The settings; they are always there.
#[inline]
pub(crate) fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

/// Whether this packet is the one in `period` that is sampled.
#[inline]
pub(crate) fn is_one_in(period: u32) -> bool {
    // SAFETY: the helper takes no arguments.
    period != 0 && unsafe { bpf_get_prandom_u32() }.checked_rem(period) == Some(0)
}

/// The id of the service that may have this key, or 0: `classify` checks that it has.
#[inline]
pub(crate) fn service_id(key: &ServiceKey) -> u32 {
    let Some(word) = SERVICE_INDEX.get_ptr(index::place(key)) else { return 0 };
    // SAFETY: one aligned load of a word that the agent changes by one store.
    let indexed = Indexed(unsafe { word.read_volatile() });
    if indexed == Indexed::SEVERAL { service_of_several(key) } else { indexed.service(key) }
}

/// The same, of a key that shares its place in the index with others.
#[inline(never)]
fn service_of_several(key: &ServiceKey) -> u32 {
    core::intrinsics::cold_path();
    // SAFETY: the value is one word.
    unsafe { SERVICE_KEYS.get(key) }.copied().unwrap_or(0)
}

/// The present view of a service.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the array's stride is 8 bytes, its values are indexes")]
pub(crate) fn view_of(service: u32) -> Option<&'static View> {
    let index = SERVICES.get_ptr(service)?;
    // SAFETY: one aligned load of a word that the agent changes by one store.
    let index = unsafe { index.read_volatile() } as u32;
    if index == 0 {
        return None;
    }
    VIEWS.get(index)
}

/// The slot with this index in the arena.
#[inline]
pub(crate) fn slot(index: u32) -> Option<Slot> {
    let slot = SLOTS.get_ptr(index)?;
    // SAFETY: one aligned load of a word that the agent changes by one store.
    Some(Slot(unsafe { slot.read_volatile() }))
}

/// The entry of a server; whether it is the instance that `reference` means is [`Server::state_of`]'s to say.
#[inline]
pub(crate) fn server(reference: ServerRef) -> Option<&'static Server> {
    if reference == ServerRef::NONE {
        return None;
    }
    SERVERS.get(reference.id())
}

/// A remembered flow.
#[inline]
pub(crate) fn connection(flow: &FlowKey) -> Option<Entry> {
    CONNECTIONS.get_ptr_mut(flow).map(Entry::of)
}

/// A flow of which one packet was seen.
#[inline]
pub(crate) fn half_open(flow: &FlowKey) -> Option<Entry> {
    HALF_OPEN.get_ptr_mut(flow).map(Entry::of)
}

/// Why a flow was not remembered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotStored {
    /// Another entry has the key.
    Taken,
    /// There is no room.
    Full,
}

const EEXIST: i32 = -17;

#[inline]
fn stored(result: Result<(), i32>) -> Result<(), NotStored> {
    match result {
        Ok(()) => Ok(()),
        Err(EEXIST) => Err(NotStored::Taken),
        Err(_) => Err(NotStored::Full),
    }
}

/// Remembers a flow that has no entry.
#[inline]
pub(crate) fn add_connection(flow: &FlowKey, connection: &Connection) -> Result<(), NotStored> {
    stored(CONNECTIONS.insert(flow, connection, u64::from(BPF_NOEXIST)))
}

/// Remembers a flow over what was there: one that lasts in the table of connections, else in that of first packets.
#[inline]
pub(crate) fn set_flow(flow: &FlowKey, connection: &Connection, lasting: bool) -> Result<(), NotStored> {
    stored(if lasting {
        CONNECTIONS.insert(flow, connection, u64::from(BPF_ANY))
    } else {
        HALF_OPEN.insert(flow, connection, u64::from(BPF_ANY))
    })
}

/// Forgets what a pair could not keep: an entry that this program made for this packet.
#[inline]
pub(crate) fn undo_connection(flow: &FlowKey) {
    CONNECTIONS.remove(flow).ok();
}

/// Forgets a flow that moved on to the table of connections.
#[inline]
pub(crate) fn remove_half_open(flow: &FlowKey) {
    HALF_OPEN.remove(flow).ok();
}

/// The id of a nat server's address.
#[inline]
pub(crate) fn nat_host(address: Address) -> Option<u32> {
    // SAFETY: the value is one word; the flow made of it is looked up whole.
    unsafe { NAT_HOSTS.get(address) }.copied()
}

/// The next turn of a service, modulo 2^32.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "turns wrap")]
pub(crate) fn next_turn(service: u32) -> u32 {
    let Some(sequence) = SEQUENCE.get_ptr_mut(service) else { return 0 };
    // SAFETY: the pointer is to an aligned word of the map.
    unsafe {
        core::intrinsics::atomic_xadd::<u64, u64, { core::intrinsics::AtomicOrdering::SeqCst }>(sequence, 1)
            as u32
    }
}

/// The way to a server, as it is now.
#[inline]
pub(crate) fn next_hop(server: &Server) -> NextHop {
    let word = (&raw const server.next_hop).cast::<u64>();
    // SAFETY: one aligned load of a word that the agent changes by one store.
    zerocopy::transmute!(unsafe { word.read_volatile() })
}

/// A device that frames may leave by.
#[inline]
pub(crate) fn interface(device: u16) -> Option<&'static Interface> {
    INTERFACES.get(u32::from(device)).filter(|interface| interface.ifindex != 0)
}

/// The interface that a frame came in by, and its device index, below 256.
///
/// The agent gives an interface the index that the low byte of its number is, if that is free: then nothing is hashed.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low byte is meant")]
pub(crate) fn arrival(ifindex: u32) -> Option<(u8, &'static Interface)> {
    let usual = ifindex as u8;
    if let Some(interface) = interface(u16::from(usual)).filter(|interface| interface.ifindex == ifindex) {
        return Some((usual, interface));
    }
    let device = u8::try_from(unusual_device(ifindex)).ok()?;
    Some((device, interface(u16::from(device))?))
}

/// The device index of an interface that has not the usual one; 0, which is none, if the tables do not have it.
#[inline(never)]
fn unusual_device(ifindex: u32) -> u32 {
    core::intrinsics::cold_path();
    // SAFETY: the value is one word, written before the first frame comes in by the interface.
    unsafe { INTERFACE_KEYS.get(ifindex) }.copied().unwrap_or(0)
}

/// Sends the frame out by a device; `None` if there is no such device.
#[inline]
pub(crate) fn redirect(device: u16) -> Option<u32> {
    DEVICES.redirect(u32::from(device), u64::from(XDP_DROP)).ok()
}

/// Counts a verdict, or what happened beside it.
#[inline]
pub(crate) fn count(index: u8, bytes: u64) {
    let Some(count) = REASON_COUNTERS.get_ptr_mut(u32::from(index)) else { return };
    // SAFETY: the element is this CPU's own.
    let count = unsafe { &mut *count };
    count.packets += 1;
    count.bytes += bytes;
}

/// The counters of a server, this CPU's.
#[inline]
pub(crate) fn server_traffic(server: ServerRef) -> Option<&'static mut Traffic> {
    // SAFETY: the element is this CPU's own.
    SERVER_COUNTERS.get_ptr_mut(server.id()).map(|traffic| unsafe { &mut *traffic })
}

/// Takes one answer from this CPU's allowance, of `per_second`.
#[inline]
pub(crate) fn may_answer(now: u32, per_second: u32) -> bool {
    let Some(bucket) = ANSWER_RATE.get_ptr_mut(0) else { return false };
    // SAFETY: the element is this CPU's own.
    unsafe { &mut *bucket }.take(now, per_second)
}

/// Hands a sampled decision to the agent; a full buffer loses it.
#[inline]
pub(crate) fn emit(event: &Event) {
    EVENTS.output::<Event>(event, 0).ok();
}
