//! Stages as functions of the program's own.
//!
//! They are global: the verifier checks each once, for any argument, and not once for every way that leads to it
//! (docs/decisions/0002-global-functions.md). Their results are in [`Work`]; a global function returns a number.

use crate::connection::{self, DONE};
use crate::entry::Entry;
use crate::work::Work;
use crate::{answer, reply};
use aya_ebpf::bindings::xdp_md;
use lb_common::connection::Connection;
use lb_common::counters::Settings;
use lb_common::service::View;
use lb_common::verdict::{Reason, Verdict};
use lb_ebpf::xdp_packet::XdpPacket;

/// Finds the server of a packet that opens, changes or ends a connection, or belongs to none; the number says what is to
/// be done else. `entry` is the element of `CONNECTIONS`, or null.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn follow(
    work: *mut Work,
    view: *const View,
    entry: *mut Connection,
    settings: *const Settings,
) -> u32 {
    // SAFETY: the verifier sees to it that the pointers are null or to whole values.
    let (Some(work), Some(view)) = (unsafe { work.as_mut() }, unsafe { view.as_ref() }) else { return DONE };
    // SAFETY: as above.
    let Some(settings) = (unsafe { settings.as_ref() }) else { return DONE };
    let entry = if entry.is_null() { Entry::NONE } else { Entry::of(entry) };
    connection::follow(work, (view, settings), entry).unwrap_or_else(|reason| {
        work.verdict = Verdict::drop(reason);
        DONE
    })
}

/// Gives a new flow a server, which [`Work`] names then, or has the verdict. Always 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn open(work: *mut Work, view: *const View, known: u32) -> u32 {
    // SAFETY: as in `follow`.
    let (Some(work), Some(view)) = (unsafe { work.as_mut() }, unsafe { view.as_ref() }) else { return 0 };
    let opened = connection::open(work, view, known);
    noted(work, opened)
}

/// Finds the server of an open connection that no table knows, which [`Work`] names then, or has the verdict. Always 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn adopt(work: *mut Work, view: *const View) -> u32 {
    // SAFETY: as in `follow`.
    let (Some(work), Some(view)) = (unsafe { work.as_mut() }, unsafe { view.as_ref() }) else { return 0 };
    let adopted = connection::adopt(work, view);
    noted(work, adopted)
}

#[inline]
fn noted(work: &mut Work, done: Result<(), Reason>) -> u32 {
    if let Err(reason) = done {
        work.verdict = Verdict::drop(reason);
    }
    0
}

/// Sends a nat server's answer to its client.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn translate(context: *mut xdp_md, work: *mut Work, settings: *const Settings) -> u32 {
    // SAFETY: as in `follow`.
    let (Some(work), Some(settings)) = (unsafe { work.as_mut() }, unsafe { settings.as_ref() }) else {
        return 0;
    };
    work.verdict = reply::translate(&mut XdpPacket::new(context), work, settings);
    0
}

/// Answers a packet that a stage dropped, if it may be answered.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn refuse(
    context: *mut xdp_md,
    work: *mut Work,
    view: *const View,
    settings: *const Settings,
) -> u32 {
    // SAFETY: as in `follow`.
    let (Some(work), Some(view)) = (unsafe { work.as_mut() }, unsafe { view.as_ref() }) else { return 0 };
    // SAFETY: as in `follow`.
    let Some(settings) = (unsafe { settings.as_ref() }) else { return 0 };
    work.verdict = answer::refuse(&mut XdpPacket::new(context), work, (view, settings));
    0
}
