//! Events, as people see them.

use super::plain;
use crate::api::{Drift, Event, EventKind, Level, Origin};
use crate::config::diff::{Difference, Kind};
use crate::render::events::event as event_text;

/// Three repairs, of which the last concerned a server.
pub(super) fn drift() -> Drift {
    let (object, name, detail) = ("server".into(), "web/pc2".into(), "state down -> up".into());
    let difference = Difference { change: Kind::Changed, object, name, detail };
    Drift { repairs: 3, last: Some(1_700_000_000), differences: vec![difference] }
}

#[test]
fn an_event_is_a_line_with_what_differs_below() {
    let event = |level, kind, subject: &str, text: &str| Event {
        sequence: 1_700_000_000_000,
        time_ms: 1_700_000_000_000,
        level,
        kind,
        subject: subject.into(),
        text: text.into(),
        lines: Vec::new(),
        hint: None,
        origin: Origin::default(),
    };
    let origin = Origin {
        uid: Some(0),
        user: Some("root".into()),
        command: Some("lb-ctl apply lb.toml".into()),
        revision: Some(12),
    };
    let change = Event {
        lines: vec!["~ server web/pc2: weight 3 -> 5".into(), "- service old".into()],
        origin: origin.clone(),
        ..event(Level::Info, EventKind::Change, "", "the configuration changed in 2 points")
    };
    let anonymous = Event {
        origin: Origin { user: None, command: None, revision: None, ..origin },
        ..event(Level::Info, EventKind::Change, "", "the configuration changed")
    };
    let refused = Event {
        hint: Some("`ip link set dev eth0 xdp off` removes it".into()),
        ..event(Level::Error, EventKind::Interface, "eth0", "not attached: another program is")
    };
    let events = [
        event(Level::Info, EventKind::Start, "", "the agent runs: version 0.1.0, pid 7, 1 services"),
        change,
        anonymous,
        event(
            Level::Warn,
            EventKind::Server,
            "web/pc2",
            "up -> unreachable: 10.0.0.12 does not answer on eth0",
        ),
        refused,
    ];
    let text: String = events.iter().map(event_text).collect();
    insta::assert_snapshot!(plain(&text));
}
