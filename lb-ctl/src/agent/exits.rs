//! Which interfaces the program can be attached to, and which can send what it redirects to them. Pure.
//!
//! In native mode a frame goes to another driver as it is, and that driver must be able to take it. In generic mode the
//! network stack sends it, by any interface. What goes out the way it came in is not redirected.

use super::state::Observed;
use crate::api::Failure;
use crate::config::model::{Config, Interface, Mode};
use crate::datapath::AttachMode;
use crate::neighbour::{Link, LinkKind};

/// Judges whether the program does its work on the interface `name`.
///
/// # Errors
///
/// Why it does not, with the interface to use instead.
pub(super) fn check_attach(name: &str, observed: &Observed) -> Result<(), Failure> {
    let Some((_, link)) = observed.link(name) else {
        return Err(Failure::failed(format!("cannot attach to {name}: there is no such interface"))
            .with_hint("`ip -brief link` lists the interfaces"));
    };
    if link.mac.is_none() {
        return Err(Failure::failed(format!("cannot attach to {name}: it is not an Ethernet interface")));
    }
    let Some(master) = link.master.and_then(|index| observed.links.get(&index)) else { return Ok(()) };
    let reason = match master.kind {
        LinkKind::Bridge => format!("it is a port of {}, which has the addresses", master.name),
        LinkKind::Bond => format!("it belongs to {}", master.name),
        LinkKind::Card | LinkKind::Veth | LinkKind::Vlan | LinkKind::Macvlan | LinkKind::Virtual => {
            return Ok(());
        }
    };
    Err(Failure::failed(format!("cannot attach to {name}: {reason}"))
        .with_hint(format!("`lb-ctl attach {}`", master.name)))
}

/// Why frames that come in by another interface cannot leave by `exit`, and what helps; `None` if they can.
///
/// Of an exit that has the program itself nothing is said: its own clients need no redirecting, and whether others come
/// in elsewhere shows when they do.
pub(super) fn problem(config: &Config, exit: u32, observed: &Observed) -> Option<(String, String)> {
    let link = observed.links.get(&exit)?;
    let attached = config.interfaces.iter().any(|interface| interface.name == link.name);
    if attached || can_transmit(link) {
        return None;
    }
    let from = &config.interfaces.iter().find(|interface| is_native(interface, observed))?.name;
    let to = &link.name;
    let generic = format!("`lb-ctl attach {from} --mode generic` sends by any interface");
    let hint = match link.kind {
        LinkKind::Veth => {
            format!("its peer takes them with GRO (`ethtool -K PEER gro on`) or an XDP program; {generic}")
        }
        LinkKind::Card => format!("`lb-ctl attach {to}` lets many drivers do it; {generic}"),
        LinkKind::Bridge | LinkKind::Bond | LinkKind::Vlan | LinkKind::Macvlan | LinkKind::Virtual => generic,
    };
    Some((format!("{to} cannot send what is redirected to it from {from}"), hint))
}

/// What the kernel says; where it says nothing, what the kind lets expect.
fn can_transmit(link: &Link) -> bool {
    link.transmits.unwrap_or(match link.kind {
        LinkKind::Card | LinkKind::Veth | LinkKind::Bond => true,
        LinkKind::Bridge | LinkKind::Vlan | LinkKind::Macvlan | LinkKind::Virtual => false,
    })
}

/// Whether the program runs, or will run, in the driver.
fn is_native(interface: &Interface, observed: &Observed) -> bool {
    let link = observed.link(&interface.name);
    match (interface.mode, link) {
        (Mode::Generic, _) | (_, None) => false,
        (Mode::Native, Some(_)) => true,
        (Mode::Auto, Some((index, link))) => observed
            .modes
            .get(&index)
            .map_or(matches!(link.kind, LinkKind::Card | LinkKind::Veth | LinkKind::Bond), |mode| {
                *mode == AttachMode::Native
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LinkKind::{Bond, Bridge, Card, Macvlan, Veth, Virtual, Vlan};

    fn link(name: &str, kind: LinkKind, transmits: Option<bool>) -> Link {
        Link { name: name.into(), mac: Some([2; 6]), mtu: 1500, kind, transmits, ..Link::default() }
    }

    fn interface(name: &str, mode: Mode) -> Interface {
        Interface { name: name.into(), mode }
    }

    #[test]
    fn a_part_of_something_is_refused_with_the_whole() {
        let rows = [
            ("a card", Card, None, None),
            (
                "a port of a bridge",
                Veth,
                Some(Bridge),
                Some("eth0: it is a port of all0, which has the addresses"),
            ),
            ("a member of a bond", Card, Some(Bond), Some("eth0: it belongs to all0")),
            ("in a VRF", Card, Some(Virtual), None),
            ("a bond", Bond, None, None),
            (
                "a bond that is a port of a bridge",
                Bond,
                Some(Bridge),
                Some("eth0: it is a port of all0, which has the addresses"),
            ),
            ("a bridge", Bridge, None, None),
            ("a VLAN device", Vlan, None, None),
            ("a macvlan device", Macvlan, None, None),
        ];
        for (name, kind, master, want) in rows {
            let mut links = vec![(2, link("eth0", kind, None))];
            if let Some(kind) = master {
                links[0].1.master = Some(9);
                links.push((9, link("all0", kind, None)));
            }
            let observed = Observed { links: links.into_iter().collect(), ..Observed::default() };
            let refused = check_attach("eth0", &observed).err();
            let message = want.map(|reason| format!("cannot attach to {reason}"));
            assert_eq!(refused.as_ref().map(|failure| failure.message.clone()), message, "{name}");
            if let Some(failure) = refused {
                assert_eq!(failure.hint.as_deref(), Some("`lb-ctl attach all0`"), "{name}");
            }
        }
    }

    #[test]
    fn an_exit_must_take_what_a_driver_gives_it() {
        let auto = || vec![interface("eth0", Mode::Auto)];
        let generic = || vec![interface("eth0", Mode::Generic)];
        let both = || vec![interface("eth0", Mode::Auto), interface("exit", Mode::Auto)];
        let rows = [
            ("nothing is attached", vec![], Vlan, Some(false), true),
            ("a card that can", auto(), Card, Some(true), true),
            ("a card that cannot", auto(), Card, Some(false), false),
            ("a card that has the program itself", both(), Card, Some(false), true),
            ("a card of which nothing is known", auto(), Card, None, true),
            ("from generic mode to a card that cannot", generic(), Card, Some(false), true),
            ("a veth whose peer takes nothing", auto(), Veth, Some(false), false),
            ("a bond whose members can", auto(), Bond, Some(true), true),
            ("a VLAN device", auto(), Vlan, Some(false), false),
            ("a VLAN device on an old kernel", auto(), Vlan, None, false),
            ("a VLAN device from generic mode", generic(), Vlan, None, true),
            ("a bridge", auto(), Bridge, None, false),
            ("a macvlan device", auto(), Macvlan, None, false),
            ("a bridge alone", vec![interface("exit", Mode::Auto)], Bridge, Some(false), true),
        ];
        for (name, interfaces, kind, transmits, want) in rows {
            let links = [(2, link("eth0", Card, Some(true))), (3, link("exit", kind, transmits))];
            let observed = Observed { links: links.into(), ..Observed::default() };
            let config = Config { interfaces, ..Config::default() };
            assert_eq!(problem(&config, 3, &observed).is_none(), want, "{name}");
        }
    }

    #[test]
    fn how_it_is_attached_counts_more_than_what_was_asked_for() {
        let links = [(2, link("eth0", Card, Some(true))), (3, link("exit", Card, Some(false)))];
        let config = Config { interfaces: vec![interface("eth0", Mode::Auto)], ..Config::default() };
        for (mode, want) in [(AttachMode::Native, false), (AttachMode::Generic, true)] {
            let observed =
                Observed { links: links.clone().into(), modes: [(2, mode)].into(), ..Observed::default() };
            let problem = problem(&config, 3, &observed);
            assert_eq!(problem.is_none(), want, "{mode}");
            if let Some((reason, hint)) = problem {
                assert_eq!(reason, "exit cannot send what is redirected to it from eth0");
                assert!(hint.contains("`lb-ctl attach exit`"), "{hint}");
                assert!(hint.contains("`lb-ctl attach eth0 --mode generic`"), "{hint}");
            }
        }
    }
}
