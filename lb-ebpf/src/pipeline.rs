//! The stages in order. The only caller of the other modules.
//!
//! ```text
//! parse -> service? -> connection? -> slot -> server -> forward -> account -> XDP action
//!            no: nat reply? -> rewrite back        no: pass, untouched
//! ```
//!
//! `serve`, `translate` and `refuse` are global functions of the program: the verifier checks each once, for any
//! argument, and not once for every way that leads to it (260,000 verified instructions so, 60,000 allowed).

use crate::work::Work;
use crate::{account, answer, classify, connection, forward, maps, reply};
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::bindings::xdp_md;
use core::mem::MaybeUninit;
use lb_common::packet::parse;
use lb_common::service::View;
use lb_common::verdict::{Outcome, Reason, Verdict};
use lb_ebpf::xdp_packet::XdpPacket;

/// Runs the stages over one frame, counts the verdict and gives the XDP action.
#[inline]
pub(crate) fn run(context: *mut xdp_md) -> u32 {
    let packet = XdpPacket::new(context);
    let mut place = MaybeUninit::uninit();
    let work = Work::begin(&mut place, &packet);
    match parse(&packet, &mut work.parsed) {
        Ok(()) => ours(context, work),
        Err(reason) => work.verdict = Verdict::pass(reason),
    }
    account::count(work);
    match work.verdict.outcome {
        Outcome::Pass => XDP_PASS,
        Outcome::Drop => XDP_DROP,
        Outcome::Answer => XDP_TX,
        Outcome::Forward if work.verdict.device == 0 => XDP_TX,
        Outcome::Forward => maps::redirect(work.verdict.device),
    }
}

fn ours(context: *mut xdp_md, work: &mut Work) {
    match classify::service(&work.parsed) {
        Ok(Some(service)) => {
            work.service = service.id;
            serve(context, work, service.view);
            if work.verdict.outcome == Outcome::Drop {
                refuse(context, work, service.view);
            }
        }
        Ok(None) => {
            translate(context, work);
        }
        Err(reason) => work.verdict = Verdict::pass(reason),
    }
    account::sample(work);
    account::log(context, work);
}

/// Sends a client's packet to a server.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn serve(context: *mut xdp_md, work: *mut Work, view: *const View) -> u32 {
    // SAFETY: the verifier sees to it that the pointers are null or to whole values.
    let (Some(work), Some(view)) = (unsafe { work.as_mut() }, unsafe { view.as_ref() }) else { return 0 };
    let mut packet = XdpPacket::new(context);
    work.verdict = if !work.arrive(&packet) {
        Verdict::pass(Reason::OtherMac)
    } else if work.parsed.ttl <= 1 {
        Verdict::drop(Reason::TtlExpired)
    } else {
        match connection::server_of(work, view) {
            Ok(server) => forward::send(&mut packet, work, server),
            Err(reason) => Verdict::drop(reason),
        }
    };
    0
}

/// Sends a nat server's answer to its client.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn translate(context: *mut xdp_md, work: *mut Work) -> u32 {
    // SAFETY: as in `serve`.
    let Some(work) = (unsafe { work.as_mut() }) else { return 0 };
    work.verdict = reply::translate(&mut XdpPacket::new(context), work);
    0
}

/// Answers a packet that a stage dropped, if it may be answered.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn refuse(context: *mut xdp_md, work: *mut Work, view: *const View) -> u32 {
    // SAFETY: as in `serve`.
    let (Some(work), Some(view)) = (unsafe { work.as_mut() }, unsafe { view.as_ref() }) else { return 0 };
    work.verdict = answer::refuse(&mut XdpPacket::new(context), work, view);
    0
}
