//! One count a packet: its server's if it was sent on, else its reason's; samples and the debug log.

use crate::maps;
use crate::work::Work;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::debug;
use lb_common::counters::Traffic;
use lb_common::event::Event;
use lb_common::verdict::{Outcome, Reason};

/// Counts the packet. A server has one service and one method: how many packets these had is the agent's to add up.
#[inline]
pub(crate) fn count(work: &Work) {
    let bytes = u64::from(work.bytes);
    if work.not_remembered {
        maps::count(Reason::NotRemembered as u8, bytes);
    }
    if work.verdict.outcome != Outcome::Forward {
        maps::count(work.verdict.index(), bytes);
    } else if let Some(traffic) = maps::server_traffic(work.server) {
        add(traffic, work, bytes);
    }
}

#[inline]
fn add(traffic: &mut Traffic, work: &Work, bytes: u64) {
    if work.opened {
        traffic.connections += 1;
    }
    if work.reply {
        traffic.out_packets += 1;
        traffic.out_bytes += bytes;
    } else {
        traffic.in_packets += 1;
        traffic.in_bytes += bytes;
    }
}

/// Hands the decision to the agent if it is one of the sampled ones.
#[inline]
pub(crate) fn sample(work: &Work) {
    if work.sampled {
        core::intrinsics::cold_path();
        emit(work);
    }
}

/// Writes the decision to the debug log.
///
/// `AYA_LOG_LEVEL` is a constant that the loader sets: below the level of `debug` the verifier removes the line.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the verifier follows the context only in registers")]
pub(crate) fn log(context: *mut xdp_md, work: &Work) {
    let verdict = work.verdict.index();
    debug!(
        &XdpContext::new(context),
        "verdict {} service {} server {}",
        verdict,
        work.service,
        work.server.id()
    );
}

#[inline(never)]
fn emit(work: &Work) {
    let parsed = &work.parsed;
    maps::emit(&Event {
        time: maps::clock(),
        source: parsed.source,
        destination: parsed.destination,
        source_port: parsed.source_port,
        destination_port: parsed.destination_port,
        protocol: parsed.protocol,
        verdict: work.verdict.index(),
        tcp_flags: parsed.flags.0,
        reserved: 0,
        service: work.service,
        server: work.server.0,
        bytes: work.bytes,
        ifindex: work.ifindex,
    });
}
