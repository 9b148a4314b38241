//! What a service asks for its flows: whether they are remembered, and for how long.

use super::ConfigError;
use super::model::{Protocol, Scheduler, Service};
use lb_common::service::Timeouts as Milliseconds;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::time::Duration;

/// Whether the flows of a service are in the table of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Track {
    /// Only where slots do not tell the server: no flow of `mh` and `sh` but what a change may cut.
    #[default]
    Auto,
    /// Always; connections are counted.
    Always,
}

/// What a UDP flow does that has no entry in the table, when its slot changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Udp {
    /// It goes to the new server at once.
    #[default]
    Follow,
    /// It stays: the service is tracked.
    Stable,
}

/// Silence after which a flow may be forgotten; what is left out has the usual time, which Linux IPVS has too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// Open TCP connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub established: Option<Timeout>,
    /// TCP connections of which only the SYN was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syn: Option<Timeout>,
    /// TCP connections after a FIN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fin: Option<Timeout>,
    /// TCP connections that have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Timeout>,
    /// UDP flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<Timeout>,
}

/// A time of silence, as `15m` or `1h 30m` in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(Duration);

/// Shortest and longest: the program's clock wraps after 49 days.
const BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(24 * 7));

impl Timeout {
    /// The time that `text` spells.
    ///
    /// # Errors
    /// It spells none, or one that is too short or too long.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let hint = "write it as `15m`, `90s` or `1h 30m`";
        let time = humantime::parse_duration(text)
            .map_err(|error| ConfigError::invalid(format!("`{text}` is no time: {error}")).hint(hint))?;
        let (least, most) = BOUNDS;
        if (least..=most).contains(&time) {
            return Ok(Self(time));
        }
        let fact = if time < least { "shorter than 1s" } else { "longer than 7days" };
        Err(ConfigError::invalid(format!("{text} is {fact}")))
    }

    fn milliseconds(self) -> u32 {
        u32::try_from(self.0.as_millis()).unwrap_or(u32::MAX)
    }
}

impl Serialize for Timeout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|error| de::Error::custom(error.message))
    }
}

impl Timeouts {
    /// Whether all are the usual ones.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// As the program has them.
    pub fn milliseconds(&self) -> Milliseconds {
        let usual = Milliseconds::default();
        let or = |chosen: Option<Timeout>, usual| chosen.map_or(usual, Timeout::milliseconds);
        Milliseconds {
            established: or(self.established, usual.established),
            syn: or(self.syn, usual.syn),
            fin: or(self.fin, usual.fin),
            closed: or(self.closed, usual.closed),
            udp: or(self.udp, usual.udp),
        }
    }
}

impl std::fmt::Display for Timeouts {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { established, syn, fin, closed, udp } = self;
        let rows =
            [("established", established), ("syn", syn), ("fin", fin), ("closed", closed), ("udp", udp)];
        let chosen = rows.into_iter().filter_map(|(name, time)| Some((name, time.as_ref()?)));
        let words: Vec<_> = chosen
            .map(|(name, Timeout(time))| format!("{name} {}", humantime::format_duration(*time)))
            .collect();
        out.pad(&if words.is_empty() { "usual".to_owned() } else { words.join(", ") })
    }
}

impl Service {
    /// Whether its flows are remembered only where a slot asks for it (design.md, section 4).
    pub fn is_untracked(&self) -> bool {
        let hashes = matches!(self.scheduler, Scheduler::Mh | Scheduler::Sh);
        let stable = self.protocol == Protocol::Udp && self.udp == Udp::Stable;
        hashes && !stable && self.track == Track::Auto
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_written() {
        let rows =
            [("15m", Ok("15m")), ("90s", Ok("1m 30s")), ("1h30m", Ok("1h 30m")), ("1500ms", Ok("1s 500ms"))];
        let bad = [("0s", Err("0s is shorter than 1s")), ("8days", Err("8days is longer than 7days"))];
        for (text, want) in rows.into_iter().chain(bad) {
            let read = Timeout::parse(text).map(|Timeout(time)| humantime::format_duration(time).to_string());
            assert_eq!(read.as_deref().map_err(|error| error.message.as_str()), want, "{text}");
        }
        for text in ["", "15", "a year", "-5s", "15 parsecs"] {
            let error = Timeout::parse(text).unwrap_err();
            assert!(error.message.starts_with(&format!("`{text}` is no time: ")), "{error}");
        }
    }

    #[test]
    fn what_is_left_out_is_usual() {
        let chosen = Timeouts { established: Timeout::parse("5s").ok(), ..Timeouts::default() };
        assert_eq!(chosen.milliseconds(), Milliseconds { established: 5_000, ..Milliseconds::default() });
        assert_eq!(
            (chosen.to_string(), Timeouts::default().to_string()),
            ("established 5s".into(), "usual".into())
        );
    }
}
