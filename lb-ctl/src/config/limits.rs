//! How much the tables have room for, as the operator chooses it.

use super::ConfigError;
use crate::datapath::tables::Capacities;
use lb_common::maps::{MAX_CONNECTIONS, MAX_SERVERS, MAX_SERVICES, MAX_SLOTS};
use lb_common::server::ServerRef;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;

/// Limits of the tables; what is left out has the usual one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Connections; a nat connection is two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<u32>,
    /// Servers, each counted once per service that uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servers: Option<u32>,
    /// Slots of all services together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Connections.
    Connections,
    /// Services.
    Services,
    /// Servers.
    Servers,
    /// Slots.
    Slots,
}

impl Limited {
    /// All of them, in the order of listings.
    pub const ALL: [Self; 4] = [Self::Connections, Self::Services, Self::Servers, Self::Slots];

    /// The key in the file, the option of `lb-ctl limits set`, and the name of the table in `status`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Services => "services",
            Self::Servers => "servers",
            Self::Slots => "slots",
        }
    }

    /// The limit where none is chosen. Element 0 of all tables but that of connections is never used.
    pub const fn usual(self) -> u32 {
        match self {
            Self::Connections => MAX_CONNECTIONS,
            Self::Services => MAX_SERVICES - 1,
            Self::Servers => MAX_SERVERS - 1,
            Self::Slots => MAX_SLOTS - 1,
        }
    }

    /// The limits that can be: a table of this version has an element for each, and a server's number has 20 bits.
    pub const fn range(self) -> RangeInclusive<u32> {
        match self {
            Self::Connections => 1_024..=128 * 1024 * 1024,
            Self::Services => 1..=65_535,
            Self::Servers => 1..=ServerRef::MAX_SERVERS - 1,
            Self::Slots => 1_024..=64 * 1024 * 1024 - 1,
        }
    }
}

impl fmt::Display for Limited {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.word())
    }
}

impl Limits {
    /// Whether nothing was chosen.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// What was chosen for `what`.
    pub const fn chosen(&self, what: Limited) -> Option<u32> {
        match what {
            Limited::Connections => self.connections,
            Limited::Services => self.services,
            Limited::Servers => self.servers,
            Limited::Slots => self.slots,
        }
    }

    /// The limit of `what`.
    pub fn of(&self, what: Limited) -> u32 {
        self.chosen(what).unwrap_or(what.usual())
    }

    /// These limits with what `other` chooses in the place of theirs.
    #[must_use]
    pub fn overlaid(&self, other: &Self) -> Self {
        Self {
            connections: other.connections.or(self.connections),
            services: other.services.or(self.services),
            servers: other.servers.or(self.servers),
            slots: other.slots.or(self.slots),
        }
    }

    /// The entries that the tables need for it.
    pub fn capacities(&self) -> Capacities {
        let [connections, services, servers, slots] = Limited::ALL.map(|what| self.of(what));
        Capacities::of(connections, services, servers, slots)
    }

    /// Refuses what no table can be.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for what in Limited::ALL {
            let (limit, range) = (self.of(what), what.range());
            let message = match limit {
                _ if range.contains(&limit) => continue,
                _ if limit < *range.start() => format!("{limit} is too low: at least {}", range.start()),
                _ => format!("{limit} is too high: at most {}", range.end()),
            };
            return Err(ConfigError::invalid(message).at(format!("limits.{what}")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Change;
    use crate::config::change::apply;
    use crate::config::diff::diff;
    use crate::config::intent::{Intent, Mark};
    use crate::config::model::Config;
    use crate::config::parse::{from_toml, to_toml};

    #[test]
    fn what_is_left_out_is_as_usual() {
        let config = from_toml("[limits]\nconnections = 1000000\n", "lb.toml").unwrap();
        assert_eq!(config.limits, Limits { connections: Some(1_000_000), ..Limits::default() });
        assert_eq!(Limited::ALL.map(|what| config.limits.of(what)), [1_000_000, 4_095, 32_767, 2_097_151]);
        assert_eq!(from_toml(&to_toml(&config).unwrap(), "again").unwrap(), config);
        assert_eq!(Limits::default().capacities(), Capacities::default());
        assert!(!to_toml(&from_toml("", "empty").unwrap()).unwrap().contains("limits"));
    }

    #[test]
    fn limits_are_told_as_what_changes_and_a_file_without_them_leaves_them() {
        let set = |limits| Change::LimitsSet(limits);
        let slots = Limits { slots: Some(5_000), ..Limits::default() };
        let config = Config { limits: slots, ..Config::default() };
        let told = |change: &Change| {
            let (after, _) = apply((&config, &Intent::default()), change, &Mark::default()).unwrap();
            let told = diff(&config, &after).into_iter();
            let told = told.map(|difference| format!("{} {}", difference.name, difference.detail));
            (after.limits, told.collect::<Vec<_>>())
        };
        let file =
            |limits| Change::Apply { config: Config { limits, ..Config::default() }, allow_empty: true };
        let servers = Limits { servers: Some(9), ..Limits::default() };
        let both = Limits { servers: Some(9), ..slots };
        let rows = [
            (set(servers), both, vec!["servers at most 32767 -> 9"]),
            (set(slots), slots, vec![]),
            (file(Limits::default()), slots, vec![]),
            (file(servers), servers, vec!["servers at most 32767 -> 9", "slots at most 5000 -> 2097151"]),
        ];
        for (change, limits, want) in rows {
            let want = want.into_iter().map(str::to_owned).collect();
            assert_eq!(told(&change), (limits, want), "{change:?}");
        }
        let zero = Limits { services: Some(0), ..Limits::default() };
        assert!(apply((&config, &Intent::default()), &set(zero), &Mark::default()).is_err());
    }

    #[test]
    fn what_no_table_can_be_is_refused_with_numbers() {
        let rows = [
            ("connections = 1023", "limits.connections: 1023 is too low: at least 1024"),
            ("connections = 134217729", "limits.connections: 134217729 is too high: at most 134217728"),
            ("services = 0", "limits.services: 0 is too low: at least 1"),
            ("services = 65536", "limits.services: 65536 is too high: at most 65535"),
            ("servers = 1048576", "limits.servers: 1048576 is too high: at most 1048575"),
            ("slots = 67108864", "limits.slots: 67108864 is too high: at most 67108863"),
            ("slots = -1", "expected u32"),
            ("slots = 4294967296", "expected u32"),
            ("slots = \"many\"", "expected u32"),
            ("affinity = 5", "limits.affinity: this version of lb-ctl does not have it"),
            ("conections = 5000", "limits.conections: unknown key"),
        ];
        for (line, want) in rows {
            let error = from_toml(&format!("[limits]\n{line}\n"), "lb.toml").unwrap_err();
            assert!(error.to_string().contains(want), "{line}: {error}");
        }
    }

    #[test]
    fn what_is_set_later_replaces_what_was_chosen_before() {
        let chosen = Limits { connections: Some(5_000), slots: Some(9_000), ..Limits::default() };
        let other = Limits { connections: Some(6_000), servers: Some(7), ..Limits::default() };
        let want = Limits { connections: Some(6_000), servers: Some(7), slots: Some(9_000), services: None };
        assert_eq!(chosen.overlaid(&other), want);
    }
}
