//! The stages in order: the first file to read. With `subprograms.rs` the only caller of the other modules.
//!
//! ```text
//! parse -> service? -> arrived here? -> slot, or connection -> server -> forward -> account -> XDP action
//!            no: nat reply? -> arrived here? -> rewrite back        no: pass, untouched
//! ```

use crate::subprograms::{refuse, translate};
use crate::work::{Terms, Work};
use crate::{account, classify, connection, forward, maps};
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
    work.sampled = maps::is_one_in(settings.sample_period);
    match classify::service(&work.parsed, settings) {
        Ok(Some(service)) => {
            work.service = service.id;
            work.verdict = serve(context, work, (service.view, settings)).unwrap_or_else(|verdict| verdict);
            if work.verdict.outcome == Outcome::Drop {
                refuse(context, work, service.view, settings);
            }
        }
        Ok(None) if settings.nat() => _ = translate(context, work, settings),
        Ok(None) => work.verdict = Verdict::pass(Reason::NotAService),
        Err(reason) => work.verdict = Verdict::pass(reason),
    }
    account::sample(work);
    account::log(context, work);
}

/// Sends a client's packet to a server.
#[inline]
fn serve(context: *mut xdp_md, work: &mut Work, terms: Terms<'_>) -> Result<Verdict, Verdict> {
    let mut packet = XdpPacket::new(context);
    work.arrive(&packet)?;
    let Some(server) = connection::server_of(work, terms) else { return Err(work.verdict) };
    Ok(forward::send(&mut packet, work, server))
}
