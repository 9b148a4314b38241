//! Frames from `fixtures/`: what scapy says must come out (`fixtures/generate.py`).

use std::collections::BTreeMap;
use std::net::IpAddr;

/// A case of a file: parameters, and the frames of a conversation in order.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// Its name.
    pub name: String,
    parameters: BTreeMap<String, String>,
    /// The frames.
    pub steps: Vec<Step>,
}

/// A frame that comes in, and what must leave for it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Whether the server sent it, and not the client.
    pub from_server: bool,
    /// The frame.
    pub frame: Vec<u8>,
    /// The frame that leaves; `None` if it is dropped.
    pub sent: Option<Vec<u8>>,
}

impl Case {
    /// The parameter `name`.
    pub fn get(&self, name: &str) -> &str {
        self.parameters.get(name).unwrap_or_else(|| panic!("{} has no parameter {name}", self.name))
    }

    /// The address in the parameter `name`.
    pub fn address(&self, name: &str) -> IpAddr {
        self.get(name).parse().unwrap_or_else(|_| panic!("{name} of {} is no address", self.name))
    }
}

/// The cases of a file's text.
pub fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        match (first, cases.last_mut()) {
            ("client" | "server", Some(case)) => {
                let frame = bytes(words.next());
                case.steps.push(Step { from_server: first == "server", frame, sent: None });
            }
            ("sent", Some(case)) => {
                let step =
                    case.steps.last_mut().unwrap_or_else(|| panic!("{} sends before it gets", case.name));
                step.sent = Some(bytes(words.next()));
            }
            (name, _) => {
                let parameters = words.filter_map(|word| word.split_once('='));
                let parameters = parameters.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
                cases.push(Case { name: name.to_owned(), parameters, steps: Vec::new() });
            }
        }
    }
    cases
}

fn bytes(hex: Option<&str>) -> Vec<u8> {
    let digits = hex.unwrap_or_default().as_bytes().chunks(2);
    let text = digits.map(|pair| std::str::from_utf8(pair).unwrap_or_default());
    text.map(|pair| u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("{pair} is not hexadecimal")))
        .collect()
}
