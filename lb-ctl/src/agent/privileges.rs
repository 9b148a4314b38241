//! The capabilities that the agent needs, and giving up every other one.
//!
//! Capabilities belong to a thread, and a thread that is started has those of the one that starts it: whoever gives
//! them up does so while the process has one thread.

use crate::api::Failure;
use anyhow::Context;
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl::set_no_new_privs;

/// What a process needs for as long as it runs, and what for.
pub(crate) type Needed = [(Capability, &'static str)];

/// What the supervisor of the decapsulation program needs.
pub(crate) const DECAP: &Needed = &[
    (Capability::CAP_BPF, "to load programs and make maps"),
    (Capability::CAP_PERFMON, "for programs that compare pointers into a packet"),
    (Capability::CAP_NET_ADMIN, "to attach programs"),
];

/// What the agent needs.
pub(crate) const AGENT: &Needed = &[
    (Capability::CAP_BPF, "to load programs and make maps"),
    (Capability::CAP_PERFMON, "for programs that compare pointers into a packet"),
    (Capability::CAP_NET_ADMIN, "to attach programs, place VIPs and keep neighbours"),
    (Capability::CAP_NET_RAW, "to announce VIPs"),
];

/// Refuses a process that lacks what it needs; the error names all of it.
pub(crate) fn check(needed: &Needed, doing: &str) -> Result<(), Failure> {
    // Where they cannot be read, the agent finds out by itself.
    let Ok(effective) = caps::read(None, CapSet::Effective) else { return Ok(()) };
    check_within(needed, &effective, doing)
}

fn check_within(needed: &Needed, effective: &CapsHashSet, doing: &str) -> Result<(), Failure> {
    let missing: Vec<_> = needed
        .iter()
        .filter(|(capability, _)| !effective.contains(capability))
        .map(|(capability, why)| format!("{capability} ({why})"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!("{doing}: no privileges, missing are {}", missing.join(", "))).with_hint(
        "run it as root, or with these capabilities (`AmbientCapabilities=` of a unit, `setpriv --ambient-caps`)",
    ))
}

/// Gives up whatever is not needed, and the ways to get it back.
///
/// # Errors
///
/// The kernel refuses.
pub(crate) fn give_up_others(needed: &Needed) -> anyhow::Result<()> {
    let doing = "cannot give up privileges";
    let needed: CapsHashSet = needed.iter().map(|(capability, _)| *capability).collect();
    set_no_new_privs().context(doing)?;
    caps::clear(None, CapSet::Ambient).context(doing)?;
    // Without that one, the bounding set stays as it is; with no_new_privs nothing is gained from it.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).context(doing)? {
        let bounding = caps::read(None, CapSet::Bounding).context(doing)?;
        for capability in bounding.difference(&needed) {
            caps::drop(None, CapSet::Bounding, *capability).context(doing)?;
        }
    }
    let permitted = caps::read(None, CapSet::Permitted).context(doing)?;
    let kept = needed.intersection(&permitted).copied().collect();
    caps::set(None, CapSet::Effective, &kept).context(doing)?;
    caps::set(None, CapSet::Permitted, &kept).context(doing)?;
    caps::clear(None, CapSet::Inheritable).context(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_missing_is_named_in_one_error_with_what_it_is_for() {
        let all: CapsHashSet = AGENT.iter().map(|(capability, _)| *capability).collect();
        check_within(AGENT, &all, "cannot run").unwrap();
        for (capability, why) in AGENT {
            let rest = all.iter().copied().filter(|it| it != capability).collect();
            let failure = check_within(AGENT, &rest, "cannot run").unwrap_err();
            let want = format!("cannot run: no privileges, missing are {capability} ({why})");
            assert_eq!(failure.message, want);
        }
        let failure = check_within(AGENT, &CapsHashSet::new(), "cannot run").unwrap_err();
        assert!(AGENT.iter().all(|(capability, _)| failure.message.contains(&capability.to_string())));
    }

    #[test]
    fn what_was_given_up_is_gone_from_every_set() {
        std::thread::spawn(|| {
            let before = caps::read(None, CapSet::Permitted).unwrap();
            give_up_others(DECAP).unwrap();
            let kept = DECAP.iter().map(|it| it.0).filter(|it| before.contains(it)).collect();
            assert_eq!(caps::read(None, CapSet::Permitted).unwrap(), kept);
            assert_eq!(caps::read(None, CapSet::Effective).unwrap(), kept);
            assert!(caps::read(None, CapSet::Inheritable).unwrap().is_empty());
            assert!(caps::read(None, CapSet::Ambient).unwrap().is_empty());
        })
        .join()
        .unwrap();
    }
}
