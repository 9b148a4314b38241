//! What holds beside the configuration: orders of the operator and servers that leave. It survives `apply` and `rollback`.

use super::model::{Config, Server, Service};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Who did something.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Actor {
    /// The user's id; `None` for the agent itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The user's name, or the id where it has none.
    pub user: String,
}

impl Actor {
    /// The agent itself.
    pub fn agent() -> Self {
        Self { uid: None, user: "agent".to_owned() }
    }
}

/// Who did something, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// Who.
    #[serde(flatten)]
    pub by: Actor,
    /// When, in seconds since 1970 (UTC).
    pub since: u64,
}

/// A server of a pool, spelt `POOL/SERVER`: neither name can have a slash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ServerName {
    /// Name of the pool.
    pub pool: String,
    /// Name of the server.
    pub server: String,
}

impl ServerName {
    /// The name of `server` in `pool`.
    pub fn new(pool: &str, server: &str) -> Self {
        Self { pool: pool.to_owned(), server: server.to_owned() }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.pool, self.server)
    }
}

impl FromStr for ServerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').ok_or_else(|| format!("`{text}` is not POOL/SERVER"))?;
        Ok(Self::new(parts.0, parts.1))
    }
}

impl From<ServerName> for String {
    fn from(name: ServerName) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for ServerName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What the operator ordered of a server. `undrain` ends all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// No new connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Mark>,
    /// A weight in the place of the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<TemporaryWeight>,
}

/// A weight in the place of the configured one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemporaryWeight {
    /// The weight.
    pub weight: u16,
    /// Who ordered it, and when.
    #[serde(flatten)]
    pub mark: Mark,
}

/// A server that left a service and keeps its connections there until they end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// The service that it left.
    pub service: String,
    /// The pool that it was in.
    pub pool: String,
    /// What it was.
    pub server: Server,
    /// Who took it out, and when.
    #[serde(flatten)]
    pub mark: Mark,
}

/// What holds beside the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Orders of the operator. One may be of a server that is not configured now and comes back with a rollback.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub orders: BTreeMap<ServerName, Order>,
    /// Servers that leave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<Leaving>,
}

impl Intent {
    /// What was ordered of a server.
    pub fn order(&self, pool: &str, server: &str) -> Option<&Order> {
        self.orders.get(&ServerName::new(pool, server))
    }

    /// Whether the operator took this server out of rotation.
    pub fn is_drained(&self, pool: &str, server: &str) -> bool {
        self.order(pool, server).is_some_and(|order| order.drain.is_some())
    }

    /// The weight in force of a server.
    pub fn weight(&self, pool: &str, server: &Server) -> u16 {
        let ordered = self.order(pool, &server.name).and_then(|order| order.weight.as_ref());
        ordered.map_or(server.weight, |ordered| ordered.weight)
    }

    /// The servers that leave `service`.
    pub fn leaving(&self, service: &str) -> impl Iterator<Item = &Leaving> {
        self.leaving.iter().filter(move |leaving| leaving.service == service)
    }
}

/// The servers that leave once `after` takes the place of `before`: those that left already and are not back, and with
/// `drained_by` those that it takes out of a service that stays.
pub fn leaving(
    (before, intent): (&Config, &Intent),
    after: &Config,
    drained_by: Option<&Mark>,
) -> Vec<Leaving> {
    let stays = |leaving: &Leaving| {
        let service = after.service(&leaving.service);
        service.is_some_and(|service| {
            !has(after, service, &leaving.server) && service.vip != leaving.server.address.ip
        })
    };
    let mut all = intent.leaving.clone();
    if let Some(mark) = drained_by {
        all.extend(before.services.iter().flat_map(|service| members(before, service, mark)));
    }
    all.retain(stays);
    all
}

fn members(config: &Config, service: &Service, mark: &Mark) -> Vec<Leaving> {
    let leaving = |(pool, server): (&str, &Server)| Leaving {
        service: service.name.clone(),
        pool: pool.to_owned(),
        server: server.clone(),
        mark: mark.clone(),
    };
    config.members_of(service).map(leaving).collect()
}

/// Whether the service has a server that is this one for its connections.
fn has(config: &Config, service: &Service, server: &Server) -> bool {
    config.members_of(service).any(|(_, other)| other.identity() == server.identity())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pools: &str, servers: &str) -> Config {
        let text = format!(
            "[[service]]\nname = \"web\"\nvip = \"192.0.2.10\"\nport = 80\nprotocol = \"tcp\"\npools = [{pools}]\n\
             [[pool]]\nname = \"a\"\nserver = [{servers}]\n[[pool]]\nname = \"b\"\nserver = [{{ address = \"10.0.0.9\" }}]\n"
        );
        crate::config::parse::from_toml(&text, "test").unwrap()
    }

    #[test]
    fn who_leaves_a_service_that_stays_is_drained_until_it_is_back() {
        let mark = Mark { since: 7, ..Mark::default() };
        let one = "{ address = \"10.0.0.1\" }";
        let (both, other) = (format!("{one}, {{ address = \"10.0.0.2\" }}"), "{ address = \"10.0.0.2\" }");
        let before = config("\"a\", \"b\"", &both);
        let rows = [
            ("nothing changes", config("\"a\", \"b\"", &both), vec![]),
            ("a server is removed", config("\"a\", \"b\"", other), vec!["a/10.0.0.1"]),
            ("a pool is taken away", config("\"a\"", &both), vec!["b/10.0.0.9"]),
            (
                "it has another name",
                config("\"a\", \"b\"", &both.replace("10.0.0.1\"", "10.0.0.1\", name = \"x\"")),
                vec![],
            ),
            (
                "another method",
                config("\"a\", \"b\"", &both.replace("10.0.0.1\"", "10.0.0.1\", method = \"ipip\"")),
                vec!["a/10.0.0.1"],
            ),
            ("the service is removed", Config::default(), vec![]),
        ];
        for (name, after, want) in rows {
            let left = leaving((&before, &Intent::default()), &after, Some(&mark));
            let names = |all: &[Leaving]| {
                all.iter().map(|l| format!("{}/{}", l.pool, l.server.name)).collect::<Vec<_>>()
            };
            assert_eq!(names(&left), want, "{name}");
            assert!(left.iter().all(|leaving| leaving.mark == mark));
            let cut = leaving((&before, &Intent::default()), &after, None);
            assert_eq!(names(&cut), [""; 0], "{name}, at once");
            let intent = Intent { leaving: left, ..Intent::default() };
            assert_eq!(names(&leaving((&after, &intent), &after, None)), want, "{name}, and the next change");
            assert_eq!(names(&leaving((&after, &intent), &before, None)), [""; 0], "{name}, and back");
        }
    }

    #[test]
    fn a_name_survives_its_text() {
        let name = ServerName::new("web", "[2001:db8::1]:80");
        assert_eq!(name.to_string().parse(), Ok(name));
        assert!("web".parse::<ServerName>().is_err());
    }
}
