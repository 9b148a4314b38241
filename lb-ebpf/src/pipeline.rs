//! The stages in order: the first file to read. With `subprograms.rs` the only caller of the other modules.
//!
//! ```text
//! parse -> service? -> connection? -> slot -> server -> forward -> account -> XDP action
//!            no: nat reply? -> rewrite back        no: pass, untouched
//! ```

use crate::subprograms::{refuse, serve, translate};
use crate::work::Work;
use crate::{account, classify, forward, maps};
use aya_ebpf::bindings::xdp_md;
use core::mem::MaybeUninit;
use lb_common::packet::parse;
use lb_common::verdict::{Outcome, Reason, Verdict};
use lb_ebpf::xdp_packet::XdpPacket;

/// Runs the stages over one frame, counts the verdict and gives the XDP action.
#[inline]
pub(crate) fn run(context: *mut xdp_md) -> u32 {
    let packet = XdpPacket::new(context);
    let mut place = MaybeUninit::uninit();
    let work = Work::begin(&mut place, &packet);
    match parse(&packet, work.bytes as usize, &mut work.parsed) {
        Ok(()) => ours(context, work),
        Err(reason) => work.verdict = Verdict::pass(reason),
    }
    let action = forward::action(work);
    account::count(work);
    action
}

fn ours(context: *mut xdp_md, work: &mut Work) {
    let Some(settings) = maps::settings() else { return };
    match classify::service(&work.parsed, settings) {
        Ok(Some(service)) => {
            work.service = service.id;
            serve(context, work, service.view);
            if work.verdict.outcome == Outcome::Drop {
                refuse(context, work, service.view);
            }
        }
        Ok(None) if settings.nat() => {
            translate(context, work);
        }
        Ok(None) => work.verdict = Verdict::pass(Reason::NotAService),
        Err(reason) => work.verdict = Verdict::pass(reason),
    }
    account::sample(work, settings);
    account::log(context, work);
}
