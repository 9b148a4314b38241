//! The stages after classification, as functions of the program's own: what `pipeline.rs` calls.
//!
//! They are global: the verifier checks each once, for any argument, and not once for every way that leads to it
//! (docs/decisions/0002-global-functions.md). Their results are in [`Work`]; a global function returns a number.

use crate::work::Work;
use crate::{answer, connection, reply};
use aya_ebpf::bindings::xdp_md;
use lb_common::service::View;
use lb_common::verdict::{Reason, Verdict};
use lb_ebpf::xdp_packet::XdpPacket;

/// Gives a new flow a server, which [`Work`] names then; 0 if there is none, with the verdict.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn open(work: *mut Work, view: *const View, known: u32) -> u32 {
    // SAFETY: the verifier sees to it that the pointers are null or to whole values.
    let (Some(work), Some(view)) = (unsafe { work.as_mut() }, unsafe { view.as_ref() }) else { return 0 };
    let opened = connection::open(work, view, known);
    noted(work, opened)
}

/// Finds the server of an open connection that no table knows; 0 if there is none, with the verdict.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn adopt(work: *mut Work, view: *const View) -> u32 {
    // SAFETY: as in `open`.
    let (Some(work), Some(view)) = (unsafe { work.as_mut() }, unsafe { view.as_ref() }) else { return 0 };
    let adopted = connection::adopt(work, view);
    noted(work, adopted)
}

#[inline]
fn noted(work: &mut Work, done: Result<(), Reason>) -> u32 {
    if let Err(reason) = done {
        work.verdict = Verdict::drop(reason);
    }
    u32::from(done.is_ok())
}

/// Sends a nat server's answer to its client.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn translate(context: *mut xdp_md, work: *mut Work) -> u32 {
    // SAFETY: as in `open`.
    let Some(work) = (unsafe { work.as_mut() }) else { return 0 };
    work.verdict = reply::translate(&mut XdpPacket::new(context), work);
    0
}

/// Answers a packet that a stage dropped, if it may be answered.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn refuse(context: *mut xdp_md, work: *mut Work, view: *const View) -> u32 {
    // SAFETY: as in `open`.
    let (Some(work), Some(view)) = (unsafe { work.as_mut() }, unsafe { view.as_ref() }) else { return 0 };
    work.verdict = answer::refuse(&mut XdpPacket::new(context), work, view);
    0
}
