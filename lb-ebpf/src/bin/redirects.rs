//! Counts the director's frames that were not sent by the interface they were redirected to.
//!
//! Two raw tracepoints: what is refused at once, and what a driver did not take of a bulk. They run once a bulk, not once
//! a frame, and leave at once when nothing was lost. Where the kernel keeps what they read, the loader tells.
#![no_std]
#![no_main]
#![expect(clippy::needless_pass_by_value, reason = "the attribute macro passes the context by value")]
#![feature(core_intrinsics)]
#![expect(internal_features, reason = "the target has no other atomic add; RUSTC_BOOTSTRAP=1 allows it")]

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::bpf_probe_read_kernel;
use aya_ebpf::macros::{map, raw_tracepoint};
use aya_ebpf::maps::HashMap;
use aya_ebpf::programs::RawTracePointContext;
use lb_common::maps::MAX_REDIRECT_FAILURES;
use lb_common::redirect::RedirectFailure;

/// The kernel's number for `DEVICES`.
#[unsafe(no_mangle)]
static DEVICES_ID: u32 = 0;
/// The number of the network namespace whose interfaces are the director's.
#[unsafe(no_mangle)]
static NAMESPACE: u32 = 0;
/// Where `struct net_device` has the interface's index.
#[unsafe(no_mangle)]
static DEVICE_INDEX: u32 = 0;
/// Where `struct net_device` has the pointer to its namespace.
#[unsafe(no_mangle)]
static DEVICE_NAMESPACE: u32 = 0;
/// Where `struct net` has its number.
#[unsafe(no_mangle)]
static NAMESPACE_NUMBER: u32 = 0;

#[map]
static REDIRECT_FAILURES: HashMap<RedirectFailure, u64> = HashMap::with_max_entries(MAX_REDIRECT_FAILURES, 0);

/// `xdp_redirect_err`: (device, program, target, error, kind of map, id of map, index in map).
#[raw_tracepoint(tracepoint = "xdp_redirect_err")]
fn redirect_refused(context: RawTracePointContext) {
    if context.arg::<u32>(5) != told(&raw const DEVICES_ID) {
        return;
    }
    refused(&context);
}

/// The target is an element of `DEVICES`, which begins with the pointer to its device.
#[inline(never)]
fn refused(context: &RawTracePointContext) -> Option<()> {
    const DEVICE: u32 = 0;
    let device: usize = read(context.arg::<usize>(2), DEVICE)?;
    let (to, error) = (read(device, told(&raw const DEVICE_INDEX))?, context.arg::<i32>(3).unsigned_abs());
    count(&RedirectFailure { from: 0, to, error }, 1);
    Some(())
}

/// `xdp_devmap_xmit`: (device that they came in by, device that sends, sent, dropped, error).
#[raw_tracepoint(tracepoint = "xdp_devmap_xmit")]
fn redirect_lost(context: RawTracePointContext) {
    let lost = context.arg::<i32>(3);
    if lost > 0 {
        note(&context, u64::from(lost.unsigned_abs()));
    }
}

#[inline(never)]
fn note(context: &RawTracePointContext, lost: u64) -> Option<()> {
    let (from, to) = (context.arg::<usize>(0), context.arg::<usize>(1));
    let namespace: usize = read(from, told(&raw const DEVICE_NAMESPACE))?;
    let number: u32 = read(namespace, told(&raw const NAMESPACE_NUMBER))?;
    if number != told(&raw const NAMESPACE) {
        return None;
    }
    let index = told(&raw const DEVICE_INDEX);
    let (from, to, error) = (read(from, index)?, read(to, index)?, context.arg::<i32>(4).unsigned_abs());
    count(&RedirectFailure { from, to, error }, lost);
    Some(())
}

/// What the loader put there. The compiler must not take the value of the source for it.
#[inline]
fn told(place: *const u32) -> u32 {
    // SAFETY: every caller names a constant of this program.
    unsafe { core::ptr::read_volatile(place) }
}

/// A field of the structure at `address`.
#[inline]
fn read<T>(address: usize, offset: u32) -> Option<T> {
    let field = (address + offset as usize) as *const T;
    // SAFETY: the helper checks the address itself, and fails for one that cannot be read.
    unsafe { bpf_probe_read_kernel(field) }.ok()
}

#[inline]
fn count(failure: &RedirectFailure, frames: u64) {
    if let Some(counter) = REDIRECT_FAILURES.get_ptr_mut(failure) {
        // SAFETY: the pointer is to an aligned word of the map.
        unsafe {
            core::intrinsics::atomic_xadd::<u64, u64, { core::intrinsics::AtomicOrdering::SeqCst }>(
                counter, frames,
            )
        };
        return;
    }
    // Another CPU may be quicker: what was lost in that moment is not counted.
    REDIRECT_FAILURES.insert(failure, frames, u64::from(BPF_NOEXIST)).ok();
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
