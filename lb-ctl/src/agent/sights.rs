//! How servers, interfaces and VIPs are, and what is told when they are otherwise than at the last look.

use super::journal::News;
use super::vips::Placed;
use super::writer::Writer;
use crate::api::{AttachedMode, EventKind, Failure, InterfaceState, InterfaceStatus, Level, ServerSituation};
use std::collections::BTreeMap;

/// Servers that are told one by one after one look; a lost interface may take a thousand with it.
const SHOWN: usize = 100;

/// How things were when they were last looked at.
#[derive(Debug, Default)]
pub(super) struct Known {
    servers: BTreeMap<(String, String), Situation>,
    interfaces: BTreeMap<String, Sight>,
    vips: Placed,
}

/// The state of a server, with the reason if it cannot be used.
type Situation = (ServerSituation, Option<String>);

/// How an interface is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sight {
    state: InterfaceState,
    attached: Option<AttachedMode>,
    running: bool,
    /// What it is called now, if it lost the name that the configuration has.
    called: Option<String>,
    /// Why it has no program.
    failure: Option<Failure>,
}

impl Known {
    /// Takes VIPs that an earlier agent put on interfaces as known.
    pub(super) fn adopt(&mut self, placed: &Placed) {
        self.vips.clone_from(placed);
    }

    /// What is told of the difference to how things were `before`.
    pub(super) fn news_since(&self, before: &Self) -> impl Iterator<Item = News> {
        server_news(&before.servers, &self.servers)
            .into_iter()
            .chain(interface_news(&before.interfaces, &self.interfaces))
            .chain(vip_news(&before.vips, &self.vips))
    }
}

impl Writer {
    /// How things are now.
    pub(super) fn sighted(&self) -> Known {
        Known { servers: self.situations(), interfaces: self.sights(), vips: self.stored.placed.clone() }
    }

    fn situations(&self) -> BTreeMap<(String, String), Situation> {
        let servers = self.stored.config.pools.iter().flat_map(|pool| {
            let is_used = self.is_used(pool);
            pool.servers.iter().map(move |server| (pool, server, is_used))
        });
        servers
            .map(|(pool, server, is_used)| {
                ((pool.name.clone(), server.name.clone()), self.situation(pool, server, is_used))
            })
            .collect()
    }

    fn sights(&self) -> BTreeMap<String, Sight> {
        let sight = |status: InterfaceStatus| {
            let running = self.observed.link(&status.name).is_some_and(|(_, link)| link.running);
            let failure = self.unattached.get(&status.name).cloned();
            let called = self.observed.renamed.iter().find(|(_, name)| **name == status.name);
            let called = called.map(|(index, _)| self.observed.link_name(*index));
            (status.name, Sight { state: status.state, attached: status.attached, running, called, failure })
        };
        let interfaces = self.stored.config.interfaces.iter();
        interfaces.filter_map(|interface| self.interface_status(interface).ok()).map(sight).collect()
    }
}

/// A server that is new is told only when it gets no connections: that it is there, the change has told.
fn server_news(
    before: &BTreeMap<(String, String), Situation>,
    after: &BTreeMap<(String, String), Situation>,
) -> Vec<News> {
    use ServerSituation::{Draining, Leaving, NoNew, Unreachable, Unused, Up};
    let changed = |(name, situation): &(&(String, String), &Situation)| match before.get(*name) {
        Some(old) => old != *situation,
        None => situation.0 == Unreachable,
    };
    let mut changed = after.iter().filter(changed);
    let tell = |((pool, server), (state, reason)): (&(String, String), &Situation)| {
        let old = before.get(&(pool.clone(), server.clone())).filter(|(old, _)| old != state);
        let was = old.map(|(old, _)| format!("{} -> ", old.word())).unwrap_or_default();
        let why = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let level = match state {
            Unreachable => Level::Warn,
            Up | NoNew | Draining | Leaving | Unused => Level::Info,
        };
        News::new(
            level,
            EventKind::Server,
            &format!("{pool}/{server}"),
            format!("{was}{}{why}", state.word()),
        )
    };
    let mut news: Vec<News> = changed.by_ref().take(SHOWN).map(tell).collect();
    match changed.count() {
        0 => {}
        more => {
            let text = format!("{more} more servers are in another state; `lb-ctl server list` shows all");
            news.push(News::new(Level::Warn, EventKind::Server, "", text));
        }
    }
    news
}

fn interface_news(before: &BTreeMap<String, Sight>, after: &BTreeMap<String, Sight>) -> Vec<News> {
    let changed = after.iter().filter(|(name, sight)| before.get(*name) != Some(sight));
    changed.filter_map(|(name, sight)| interface_change(name, before.get(name), sight)).collect()
}

fn interface_change(name: &str, before: Option<&Sight>, sight: &Sight) -> Option<News> {
    let news = |level, text: &str| Some(News::new(level, EventKind::Interface, name, text));
    let attached = |sight: &Sight| sight.attached.filter(|_| sight.state == InterfaceState::Attached);
    match (sight.state, before) {
        (InterfaceState::Missing, _) if let Some(called) = &sight.called => {
            let text =
                format!("is called {called} now, and keeps the program: `lb-ctl attach {called}` records it");
            news(Level::Warn, &text)
        }
        (InterfaceState::Missing, _) => news(Level::Error, "lost: there is no such interface any more"),
        (InterfaceState::Detached, _) => match &sight.failure {
            Some(failure) => {
                let told = news(Level::Error, &format!("not attached: {failure}"))?;
                Some(told.with_hint(failure.hint.clone()))
            }
            None => news(Level::Error, "lost: the program is not attached any more"),
        },
        (InterfaceState::Attached, before) if before.and_then(attached) != attached(sight) => {
            let mode = match sight.attached {
                Some(AttachedMode::Generic) => ", generic mode",
                Some(AttachedMode::Native) => ", native mode",
                None => "",
            };
            let again = if before.is_some_and(|before| attached(before).is_none()) { " again" } else { "" };
            news(Level::Info, &format!("attached{again}{mode}"))
        }
        (InterfaceState::Attached, Some(before)) if before.running != sight.running => {
            if sight.running {
                news(Level::Info, "up again")
            } else {
                news(Level::Error, "down, or without a carrier: it carries no packets")
            }
        }
        (InterfaceState::Attached, _) => None,
    }
}

fn vip_news(before: &Placed, after: &Placed) -> Vec<News> {
    let news =
        |vip: &std::net::IpAddr, text: String| News::new(Level::Info, EventKind::Vip, &vip.to_string(), text);
    let gone = before.iter().filter(|(vip, name)| after.get(vip) != Some(name));
    let come = after.iter().filter(|(vip, name)| before.get(vip) != Some(name));
    let off = gone.map(|(vip, name)| news(vip, format!("taken off {name}")));
    off.chain(come.map(|(vip, name)| news(vip, format!("put on {name}")))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(rows: &[(&str, ServerSituation, &str)]) -> BTreeMap<(String, String), Situation> {
        let row = |(name, state, reason): &(&str, ServerSituation, &str)| {
            let reason = (!reason.is_empty()).then(|| (*reason).to_owned());
            (("web".to_owned(), (*name).to_owned()), (*state, reason))
        };
        rows.iter().map(row).collect()
    }

    fn server(level: Level, name: &str, text: &str) -> News {
        News::new(level, EventKind::Server, &format!("web/{name}"), text)
    }

    #[test]
    fn a_server_is_told_when_it_is_in_another_state_and_why() {
        use ServerSituation::{Draining, Unreachable, Up};
        let before = servers(&[("a", Up, ""), ("b", Up, ""), ("c", Unreachable, "silent"), ("d", Up, "")]);
        let after = servers(&[
            ("a", Up, ""),
            ("b", Draining, ""),
            ("c", Unreachable, "no route"),
            ("new", Up, ""),
            ("new-and-silent", Unreachable, "silent"),
        ]);
        let want = [
            server(Level::Info, "b", "up -> draining"),
            server(Level::Warn, "c", "unreachable: no route"),
            server(Level::Warn, "new-and-silent", "unreachable: silent"),
        ];
        assert_eq!(server_news(&before, &after), want);
        let back = server_news(&servers(&[("c", Unreachable, "silent")]), &servers(&[("c", Up, "")]));
        assert_eq!(back, [server(Level::Info, "c", "unreachable -> up")]);
    }

    #[test]
    fn of_a_thousand_servers_the_first_are_told_one_by_one() {
        let names: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
        let rows = |state| names.iter().map(|name| (name.as_str(), state, "")).collect::<Vec<_>>();
        let before = servers(&rows(ServerSituation::Up));
        let news = server_news(&before, &servers(&rows(ServerSituation::Unreachable)));
        assert_eq!(news.len(), SHOWN + 1);
        let text = "900 more servers are in another state; `lb-ctl server list` shows all";
        assert_eq!(news.last(), Some(&News::new(Level::Warn, EventKind::Server, "", text)));
    }

    #[test]
    fn an_interface_is_told_when_it_comes_goes_or_has_another_mode() {
        let sight = |state, attached| Sight { state, attached, running: true, called: None, failure: None };
        let native = sight(InterfaceState::Attached, Some(AttachedMode::Native));
        let generic = sight(InterfaceState::Attached, Some(AttachedMode::Generic));
        let missing = Sight { running: false, ..sight(InterfaceState::Missing, None) };
        let renamed = Sight { called: Some("lan0".into()), ..missing.clone() };
        let detached = sight(InterfaceState::Detached, None);
        let refused =
            Sight { failure: Some(Failure::failed("it is taken")), ..sight(InterfaceState::Detached, None) };
        let down = Sight { running: false, ..native.clone() };
        let rows = [
            (None, &native, Some("attached, native mode")),
            (Some(&native), &native, None),
            (Some(&native), &generic, Some("attached, generic mode")),
            (Some(&native), &missing, Some("lost: there is no such interface any more")),
            (
                Some(&native),
                &renamed,
                Some("is called lan0 now, and keeps the program: `lb-ctl attach lan0` records it"),
            ),
            (Some(&missing), &native, Some("attached again, native mode")),
            (Some(&native), &detached, Some("lost: the program is not attached any more")),
            (Some(&detached), &refused, Some("not attached: it is taken")),
            (Some(&native), &down, Some("down, or without a carrier: it carries no packets")),
            (Some(&down), &native, Some("up again")),
        ];
        for (before, after, want) in rows {
            let before = before.map(|sight| ("eth0".to_owned(), sight.clone())).into_iter().collect();
            let news = interface_news(&before, &[("eth0".to_owned(), after.clone())].into());
            let level = if after.called.is_some() {
                Level::Warn
            } else if want.is_some_and(|text| text.starts_with("attached") || text.starts_with("up")) {
                Level::Info
            } else {
                Level::Error
            };
            let want = want.map(|text| News::new(level, EventKind::Interface, "eth0", text));
            assert_eq!(news, want.into_iter().collect::<Vec<_>>(), "{before:?}");
        }
    }

    #[test]
    fn a_vip_is_told_when_it_moves() {
        let placed = |rows: &[(&str, &str)]| -> Placed {
            rows.iter().map(|(vip, name)| (vip.parse().unwrap(), (*name).to_owned())).collect()
        };
        let before = placed(&[("192.0.2.1", "eth0"), ("192.0.2.2", "eth0"), ("192.0.2.3", "eth0")]);
        let after = placed(&[("192.0.2.1", "eth0"), ("192.0.2.2", "eth1"), ("192.0.2.4", "eth1")]);
        let news = |vip, text| News::new(Level::Info, EventKind::Vip, vip, text);
        let want = [
            news("192.0.2.2", "taken off eth0"),
            news("192.0.2.3", "taken off eth0"),
            news("192.0.2.2", "put on eth1"),
            news("192.0.2.4", "put on eth1"),
        ];
        assert_eq!(vip_news(&before, &after), want);
    }
}
