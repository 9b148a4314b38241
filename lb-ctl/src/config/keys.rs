//! The keys that a configuration file may have; a wrong one is named, with the nearest right one.

use super::ConfigError;
use super::nearest::nearest;
use super::parse::Source;
use toml::de::{DeTable, DeValue};

/// The keys of one kind of table.
struct Keys {
    known: &'static [&'static str],
    /// Keys of the design that this version does not have.
    later: &'static [&'static str],
}

const TOP: Keys =
    Keys { known: &["tunnel-source", "limits", "interface", "vip", "service", "pool"], later: &["alert"] };
const LIMITS: Keys =
    Keys { known: &["connections", "services", "servers", "slots"], later: &["affinity", "half-open"] };
const INTERFACE: Keys = Keys { known: &["name", "mode"], later: &[] };
const VIP: Keys = Keys { known: &["address", "announce"], later: &["echo"] };
const SERVICE: Keys = Keys {
    known: &[
        "name",
        "vip",
        "port",
        "protocol",
        "scheduler",
        "on-failure",
        "track",
        "udp",
        "timeouts",
        "pools",
    ],
    later: &["affinity", "check", "on-drain", "on-down"],
};
const TIMEOUTS: Keys = Keys { known: &["established", "syn", "fin", "closed", "udp"], later: &[] };
const POOL: Keys = Keys { known: &["name", "server"], later: &["check"] };
const SERVER: Keys = Keys { known: &["name", "address", "method", "weight"], later: &["check"] };

/// Checks every key of `document`, and takes out what says no more than the default.
pub(super) fn check(document: &mut DeTable<'_>, source: &Source<'_>) -> Result<(), ConfigError> {
    check_table(document, &TOP, "", source)?;
    if let Some(DeValue::Table(limits)) = document.get_mut("limits").map(toml::Spanned::get_mut) {
        check_table(limits, &LIMITS, "limits.", source)?;
    }
    for (section, keys) in [("interface", &INTERFACE), ("vip", &VIP), ("service", &SERVICE), ("pool", &POOL)]
    {
        for (index, table) in tables(document, section) {
            let place = format!("{section}[{index}].");
            check_table(table, keys, &place, source)?;
            if let Some(DeValue::Table(timeouts)) = table.get_mut("timeouts").map(toml::Spanned::get_mut) {
                check_table(timeouts, &TIMEOUTS, &format!("{place}timeouts."), source)?;
            }
            if section == "pool" {
                for (index, server) in tables(table, "server") {
                    check_table(server, &SERVER, &format!("{place}server[{index}]."), source)?;
                }
            }
        }
    }
    Ok(())
}

/// The tables in the array `key` of `table`, with their indexes.
pub(super) fn tables<'t, 'i>(
    table: &'t mut DeTable<'i>,
    key: &str,
) -> impl Iterator<Item = (usize, &'t mut DeTable<'i>)> + use<'t, 'i> {
    let list = table.get_mut(key).and_then(|value| {
        let DeValue::Array(items) = value.get_mut() else { return None };
        Some(items)
    });
    let items = list.into_iter().flat_map(|items| items.iter_mut()).enumerate();
    items.filter_map(|(index, item)| {
        let DeValue::Table(table) = item.get_mut() else { return None };
        Some((index, table))
    })
}

fn check_table(
    table: &mut DeTable<'_>,
    keys: &Keys,
    place: &str,
    source: &Source<'_>,
) -> Result<(), ConfigError> {
    let says_nothing = table.get("check").is_some_and(|check| check.get_ref().as_str() == Some("none"));
    if keys.later.contains(&"check") && says_nothing {
        table.remove("check");
    }
    for key in table.keys() {
        let (span, name) = (key.span(), key.get_ref().as_ref());
        if keys.known.contains(&name) {
            continue;
        }
        let path = format!("{place}{name}");
        if keys.later.contains(&name) {
            let error = source.error(Some(span), &path, "this version of lb-ctl does not have it");
            return Err(error.hint("leave it out"));
        }
        let error = source.error(Some(span), &path, "unknown key");
        return Err(match nearest(name, keys.known.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("known here: {}", keys.known.join(", "))),
        });
    }
    Ok(())
}
