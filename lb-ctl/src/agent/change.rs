//! A change of the configuration: judged, then stored, then written to the kernel; or refused, and nothing is changed.

use super::carry_out::Judged;
use super::observe::{kept_neighbours, server_addresses};
use super::own_address;
use super::preflight;
use super::state::{Desired, Observed};
use super::time;
use super::writer::Writer;
use crate::api::{Change, ChangeRequest, Changed, Failure, FailureKind, Terms};
use crate::config::diff::{Difference, Kind};
use crate::config::intent::{Actor, Mark, leaving};
use crate::config::model::{Config, Service};
use crate::config::{change, diff};
use crate::store::Stored;

impl Writer {
    /// Makes the change that `by` asks for, or says only what it would come to.
    pub(super) async fn change(&mut self, request: ChangeRequest, by: Actor) -> Result<Changed, Failure> {
        self.check_expected(request.terms.expect)?;
        self.settle_tables()?;
        let mark = Mark { by, since: time::now() };
        if let Some(changed) = self.detach_stray(&request, &mark)? {
            return Ok(changed);
        }
        let desired = self.wanted(&request, &mark)?;
        let observed = self.look(&server_addresses(&desired)).await?;
        let kept = kept_neighbours(&observed);
        let judged = match self.judge(desired, observed, &request.terms) {
            Ok(judged) if !request.terms.dry_run => judged,
            other => {
                self.release(kept.difference(&self.kept)).await;
                return other.map(|judged| judged.outcome);
            }
        };
        let outcome = judged.outcome.clone();
        if let Err(failure) = self.carry_out(judged, &request, &mark).await {
            self.release(kept.difference(&self.kept)).await;
            return Err(failure);
        }
        Ok(self.changed(&request.change, outcome))
    }

    /// What holds after the change, if it can be at all.
    fn wanted(
        &self,
        ChangeRequest { terms, change }: &ChangeRequest,
        mark: &Mark,
    ) -> Result<Desired, Failure> {
        let before = (&self.stored.config, &self.stored.intent);
        let (config, mut intent) = if let Change::Rollback { number } = change {
            (self.rolled_back(*number)?, self.stored.intent.clone())
        } else {
            change::apply(before, change, mark)?
        };
        let replaces = matches!(change, Change::Apply { .. } | Change::Rollback { .. });
        let drained_by = Some(mark).filter(|_| replaces && !terms.now);
        intent.leaving = leaving((&self.stored.config, &intent), &config, drained_by);
        Ok(Desired { config, intent })
    }

    /// Whether it can work on this host, there is room for it, and what it cuts is meant.
    fn judge(&mut self, desired: Desired, observed: Observed, terms: &Terms) -> Result<Judged, Failure> {
        preflight::check(&self.stored.config, &desired.config, &observed)?;
        own_address::check(&self.own_addresses(&desired.config, &observed), own_address::listens)?;
        self.sizes(&desired.config.limits)?;
        let plan = self.plan(&desired, &observed)?;
        let outcome = Changed {
            differences: differences(&self.stored, &desired),
            cuts: self.cuts(&desired.config, &plan)?,
            revision: self.stored.revision.number,
            ..Changed::default()
        };
        if !terms.confirmed && !terms.dry_run {
            let before = &self.stored.config;
            let unreachable = preflight::made_unreachable(before, &desired.config, &observed);
            permit(&outcome, &unreachable, (before, &desired.config))?;
        }
        Ok(Judged { desired, observed, plan, outcome })
    }

    /// The services that are new here, on an address that the host had before and not from this agent.
    fn own_addresses<'c>(&self, new: &'c Config, observed: &Observed) -> Vec<&'c Service> {
        let known = |service: &Service| {
            let same = |old: &Service| old.endpoint() == service.endpoint();
            self.stored.config.services.iter().any(same)
        };
        let own = |service: &Service| {
            observed.addresses.iter().any(|local| local.address == service.vip)
                && !self.stored.placed.contains_key(&service.vip)
        };
        new.services.iter().filter(|service| own(service) && !known(service)).collect()
    }

    fn changed(&self, change: &Change, outcome: Changed) -> Changed {
        let interface =
            if let Change::Attach(interface) = change { self.interface_status(interface).ok() } else { None };
        let revision = self.stored.revision.number;
        Changed { notes: self.notes(change), interface, revision, ..outcome }
    }
}

/// What differs of the configuration and of what holds beside it.
fn differences(before: &Stored, after: &Desired) -> Vec<Difference> {
    let mut differences = diff::diff(&before.config, &after.config);
    differences.extend(diff::intents(&before.intent, &after.intent));
    differences
}

/// Refuses what cuts connections or takes a whole service or the way of a server away, with the plan of it.
fn permit(
    outcome: &Changed,
    unreachable: &[String],
    (before, after): (&Config, &Config),
) -> Result<(), Failure> {
    let connections: u64 = outcome.cuts.iter().filter_map(|cut| cut.connections).sum();
    let uncounted = outcome.cuts.iter().any(|cut| cut.connections.is_none());
    let removed = outcome
        .differences
        .iter()
        .filter(|difference| difference.change == Kind::Removed && difference.object == "service")
        .map(|difference| difference.name.as_str())
        .collect::<Vec<_>>();
    let dark = !before.interfaces.is_empty() && after.interfaces.is_empty() && !after.services.is_empty();
    let mut effects = Vec::new();
    if connections > 0 {
        effects
            .push(format!("cuts {connections} live connection{}", if connections == 1 { "" } else { "s" }));
    }
    if uncounted {
        effects.push("cuts live connections that are not counted".to_owned());
    }
    if !removed.is_empty() {
        effects.push(format!("removes service {}", removed.join(", ")));
    }
    if !unreachable.is_empty() {
        effects.push(format!("makes {} unreachable", unreachable.join(", ")));
    }
    let emptied = emptied(before, after);
    if !emptied.is_empty() {
        effects.push(format!("leaves {} without a server", emptied.join(", ")));
    }
    if dark {
        effects.push("ends forwarding for all services".to_owned());
    }
    if effects.is_empty() {
        return Ok(());
    }
    let failure = Failure::new(FailureKind::Unconfirmed, format!("not done: it {}", effects.join(" and ")));
    let failure = failure.with_hint("`--yes` does it all the same; `--dry-run` shows the plan alone");
    Err(Failure { plan: Some(Box::new(outcome.clone())), ..failure })
}

/// The services, on both sides, that had servers and have none.
fn emptied<'c>(before: &Config, after: &'c Config) -> Vec<&'c str> {
    let is_served = |config: &Config, service: &Service| config.members_of(service).next().is_some();
    let was_served =
        |name: &str| before.services.iter().any(|old| old.name == name && is_served(before, old));
    let emptied = after.services.iter().filter(|service| !is_served(after, service));
    emptied.map(|service| service.name.as_str()).filter(|name| was_served(name)).collect()
}

/// The services that use a pool.
pub(super) fn users(config: &Config, pool: &str) -> Vec<String> {
    config.users_of(pool).map(|service| service.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Cut;

    fn config(interfaces: &str, services: &[&str]) -> Config {
        let service = |name: &&str| {
            format!(
                "[[service]]\nname = \"{name}\"\nvip = \"192.0.2.10\"\nport = 80\nprotocol = \"tcp\"\npools = []\n"
            )
        };
        let services: String = services.iter().map(service).collect();
        toml::from_str(&format!("interface = [{interfaces}]\n{services}")).unwrap()
    }

    #[test]
    fn what_hurts_wants_to_be_confirmed() {
        let eth0 = "{ name = \"eth0\" }";
        let site = config(eth0, &["web"]);
        let rows = [
            ("nothing", site.clone(), 0, None),
            ("connections", site.clone(), 2, Some("not done: it cuts 2 live connections")),
            ("one", site.clone(), 1, Some("not done: it cuts 1 live connection")),
            (
                "uncounted",
                site.clone(),
                u64::MAX,
                Some("not done: it cuts live connections that are not counted"),
            ),
            ("a service", config(eth0, &[]), 0, Some("not done: it removes service web")),
            (
                "both",
                config(eth0, &[]),
                3,
                Some("not done: it cuts 3 live connections and removes service web"),
            ),
            (
                "the last interface",
                config("", &["web"]),
                0,
                Some("not done: it ends forwarding for all services"),
            ),
        ];
        for (name, after, connections, want) in rows {
            let counted = Some(connections).filter(|count| *count != u64::MAX);
            let cut = Cut { service: "web".into(), server: "web/pc1".into(), connections: counted };
            let cuts = if connections == 0 { vec![] } else { vec![cut] };
            let differences = diff::diff(&site, &after);
            let outcome = Changed { differences, cuts, ..Changed::default() };
            let verdict = permit(&outcome, &[], (&site, &after));
            assert_eq!(verdict.as_ref().err().map(|failure| failure.message.as_str()), want, "{name}");
            if let Err(failure) = verdict {
                assert_eq!((failure.kind, failure.plan), (FailureKind::Unconfirmed, Some(Box::new(outcome))));
            }
        }
        let full: Config = toml::from_str(
            "service = [{ name = 'web', vip = '192.0.2.10', port = 80, protocol = 'tcp', pools = ['a'] }]\n\
             pool = [{ name = 'a', server = [{ name = 'pc1', address = '10.0.0.1' }] }]",
        )
        .unwrap();
        let mut empty = full.clone();
        empty.pools[0].servers.clear();
        let failure = permit(&Changed::default(), &[], (&full, &empty)).unwrap_err();
        assert_eq!(failure.message, "not done: it leaves web without a server");
        assert_eq!(permit(&Changed::default(), &[], (&empty, &empty)), Ok(()));
        assert_eq!(permit(&Changed::default(), &[], (&empty, &full)), Ok(()));
        let servers = ["web/pc1".to_owned(), "web/pc2".to_owned()];
        let failure = permit(&Changed::default(), &servers, (&site, &site)).unwrap_err();
        assert_eq!(failure.message, "not done: it makes web/pc1, web/pc2 unreachable");
    }
}
