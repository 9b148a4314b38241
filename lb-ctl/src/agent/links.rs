//! The program on the interfaces of the configuration: what is missing, and putting it there.
//!
//! The configuration names interfaces. One that lost its name keeps the program, so that renaming stops no traffic, until
//! another interface has the name or the operator says otherwise.

use super::converge::failure;
use super::journal::News;
use super::state::Observed;
use super::writer::Writer;
use crate::api::{Change, ChangeRequest, Changed, EventKind, Failure, Level};
use crate::config::diff::{Difference, Kind};
use crate::config::intent::Mark;
use crate::config::model::Interface;
use crate::datapath::PinnedLink;
use std::collections::BTreeMap;

/// Something that has to be done so that the interfaces are as they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Attach to an interface that has no program, or one of an agent before this one.
    Attach(Interface),
    /// Replace the program of a link whose interface is called otherwise now.
    Update(String),
    /// Remove a link whose interface is gone.
    Forget(String),
}

/// What has to be done for `configured`, given what is pinned. Nothing, when all is well.
pub(super) fn steps(configured: &[Interface], links: &[PinnedLink], observed: &Observed) -> Vec<Step> {
    let there = |name: &str| observed.link(name).map(|(index, _)| index);
    let has_program = |interface: &&Interface| {
        let index = there(&interface.name);
        links.iter().any(|link| link.name == interface.name && Some(link.ifindex) == index && link.current)
    };
    let attach = configured.iter().filter(|interface| there(&interface.name).is_some());
    let attach = attach.filter(|interface| !has_program(interface)).cloned().map(Step::Attach);
    // What will be attached replaces its link itself.
    let others = links.iter().filter(|link| {
        there(&link.name).is_none() || configured.iter().all(|interface| interface.name != link.name)
    });
    let others = others.filter_map(|link| match (link.ifindex, link.current) {
        (0, _) => Some(Step::Forget(link.name.clone())),
        (_, false) => Some(Step::Update(link.name.clone())),
        (_, true) => None,
    });
    others.chain(attach).collect()
}

/// Interfaces that hold the program under a configured name which they do not have any more.
pub(super) fn renamed(
    configured: &[Interface],
    links: &[PinnedLink],
    observed: &Observed,
) -> BTreeMap<u32, String> {
    links
        .iter()
        .filter(|link| configured.iter().any(|interface| interface.name == link.name))
        .filter(|link| observed.links.get(&link.ifindex).is_some_and(|now| now.name != link.name))
        .map(|link| (link.ifindex, link.name.clone()))
        .collect()
}

impl Writer {
    /// Gives the program to the interfaces that lack it, and removes links whose interface is gone. What somebody else did
    /// to a link that should be there is drift, and told before it comes here.
    ///
    /// It costs a few system calls an interface when there is nothing to do.
    pub(super) fn attach_missing(&mut self) {
        if !self.datapath.is_settled() {
            // Interfaces may run the program of other tables, and would lose what that has written.
            return;
        }
        let links = match self.datapath.links() {
            Ok(links) => links,
            Err(error) => return tracing::error!(%error, "could not read which interfaces are attached"),
        };
        let mut steps = steps(&self.stored.config.interfaces, &links, &self.observed);
        steps.retain(|step| !matches!(step, Step::Attach(interface) if self.is_drift(interface, &links)));
        self.unattached = steps.iter().filter_map(|step| self.take(step).err()).collect();
        self.follow_modes();
    }

    /// Tries again what could not be attached, unless the network was followed just now: no event says that the way is free.
    pub(super) fn attach_again(&mut self, followed: bool) {
        if !followed && !self.unattached.is_empty() {
            self.attach_missing();
            self.tell_what_changed();
        }
    }

    /// Whether somebody took the program off an interface that stayed.
    fn is_drift(&self, interface: &Interface, links: &[PinnedLink]) -> bool {
        let Some((index, _)) = self.observed.link(&interface.name) else { return false };
        self.observed.modes.contains_key(&index)
            && links.iter().all(|link| link.ifindex != index)
            && !self.unattached.contains_key(&interface.name)
    }

    /// Takes a step; the interface, and why it could not be.
    fn take(&mut self, step: &Step) -> Result<(), (String, Failure)> {
        let (name, done) = match step {
            Step::Attach(interface) => {
                (&interface.name, self.datapath.attach(&interface.name, interface.mode).map(drop))
            }
            Step::Update(name) => (name, self.datapath.update_link(name)),
            Step::Forget(name) => (name, self.datapath.detach(name)),
        };
        done.map_err(|error| (name.clone(), failure(&error)))?;
        tracing::debug!(?step, "an interface was given what it lacked");
        Ok(())
    }

    /// `observed`, and where the program is attached and how.
    pub(super) fn with_programs(&self, observed: Observed) -> Observed {
        let links = self.datapath.links().unwrap_or_default();
        let attachments = self.datapath.attachments().unwrap_or_default();
        // What somebody takes off is no change of the network: it is drift, and where it was is known until then.
        let before = self.observed.modes.iter().filter(|(index, _)| observed.links.contains_key(index));
        let mut modes: BTreeMap<_, _> = before.map(|(index, mode)| (*index, *mode)).collect();
        modes.extend(attachments.into_iter().map(|(_, attached)| (attached.ifindex, attached.mode)));
        let renamed = renamed(&self.stored.config.interfaces, &links, &observed);
        Observed { renamed, modes, ..observed }
    }

    /// Detaches an interface that has the program and is not in the configuration, as a crash between the two can leave it.
    ///
    /// `None` if `request` is another change, which goes the usual way.
    pub(super) fn detach_stray(
        &mut self,
        request: &ChangeRequest,
        mark: &Mark,
    ) -> Result<Option<Changed>, Failure> {
        let Change::Detach { name } = &request.change else { return Ok(None) };
        if self.stored.config.interfaces.iter().any(|interface| interface.name == *name) {
            return Ok(None);
        }
        let links = self.datapath.links().map_err(|error| failure(&error))?;
        if links.iter().all(|link| link.name != *name) {
            return Ok(None);
        }
        let detail = "the program is off; it was not in the configuration";
        if !request.terms.dry_run {
            self.datapath.detach(name).map_err(|error| failure(&error))?;
            let news = News::new(Level::Info, EventKind::Interface, name, detail);
            self.journal.record(news.by(self.origin(request, mark)));
        }
        let detail = detail.to_owned();
        let gone =
            Difference { change: Kind::Removed, object: "interface".to_owned(), name: name.clone(), detail };
        let revision = self.stored.revision.number;
        Ok(Some(Changed { differences: vec![gone], revision, ..Changed::default() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Mode;
    use crate::neighbour::Link;

    fn host(links: &[(u32, &str)]) -> Observed {
        let link = |(index, name): &(u32, &str)| {
            (
                *index,
                Link { name: (*name).into(), mac: Some([2; 6]), mtu: 1500, running: true, ..Link::default() },
            )
        };
        Observed { links: links.iter().map(link).collect(), ..Observed::default() }
    }

    fn eth0() -> Interface {
        Interface { name: "eth0".into(), mode: Mode::Auto }
    }

    fn pin(name: &str, ifindex: u32, current: bool) -> PinnedLink {
        PinnedLink { name: name.into(), ifindex, current }
    }

    #[test]
    fn each_interface_gets_what_it_lacks_and_no_more() {
        let attach = || vec![Step::Attach(eth0())];
        let rows = [
            ("all is well", host(&[(2, "eth0")]), vec![pin("eth0", 2, true)], vec![]),
            ("never attached", host(&[(2, "eth0")]), vec![], attach()),
            ("the pin was removed", host(&[(2, "eth0")]), vec![], attach()),
            ("the program was taken off", host(&[(2, "eth0")]), vec![pin("eth0", 0, true)], attach()),
            ("an agent before this one", host(&[(2, "eth0")]), vec![pin("eth0", 2, false)], attach()),
            ("deleted", host(&[]), vec![pin("eth0", 0, true)], vec![Step::Forget("eth0".into())]),
            ("deleted and forgotten", host(&[]), vec![], vec![]),
            ("deleted and made again", host(&[(9, "eth0")]), vec![pin("eth0", 0, true)], attach()),
            ("renamed", host(&[(2, "lan0")]), vec![pin("eth0", 2, true)], vec![]),
            (
                "renamed while no agent ran",
                host(&[(2, "lan0")]),
                vec![pin("eth0", 2, false)],
                vec![Step::Update("eth0".into())],
            ),
            (
                "renamed, and another has the name",
                host(&[(2, "lan0"), (3, "eth0")]),
                vec![pin("eth0", 2, true)],
                attach(),
            ),
            (
                "a stray whose interface is gone",
                host(&[(2, "eth0")]),
                vec![pin("eth0", 2, true), pin("eth7", 0, true)],
                vec![Step::Forget("eth7".into())],
            ),
            (
                "a stray is not touched",
                host(&[(2, "eth0"), (7, "eth7")]),
                vec![pin("eth0", 2, true), pin("eth7", 7, true)],
                vec![],
            ),
        ];
        for (name, observed, links, want) in rows {
            assert_eq!(steps(&[eth0()], &links, &observed), want, "{name}");
        }
    }

    #[test]
    fn a_renamed_interface_is_known_by_the_name_it_had() {
        let rows = [
            (vec![(2, "eth0")], vec![pin("eth0", 2, true)], vec![]),
            (vec![(2, "lan0")], vec![pin("eth0", 2, true)], vec![(2, "eth0")]),
            (vec![(2, "lan0")], vec![pin("eth0", 0, true)], vec![]),
            (vec![(2, "lan0")], vec![pin("eth7", 2, true)], vec![]),
        ];
        for (host_links, links, want) in rows {
            let want = want.into_iter().map(|(index, name)| (index, name.to_owned())).collect();
            assert_eq!(renamed(&[eth0()], &links, &host(&host_links)), want, "{links:?}");
        }
    }
}
