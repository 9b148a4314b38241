//! What a service manager is told (`sd_notify(3)`); without one, nothing.

use sd_notify::{NotifyState, notify};

/// Forwarding works and requests are answered.
pub(super) fn tell_ready() {
    tell(&[NotifyState::Ready]);
}

/// The writer goes round: a manager that watches restarts an agent that does not say so for long.
pub(super) fn tell_alive() {
    tell(&[NotifyState::Watchdog]);
}

/// The agent stops.
pub(super) fn tell_stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        tracing::warn!(%error, "could not tell the service manager");
    }
}
