//! The names of the bench's rows that need machines and other programs: `cargo xtask bench` installs those only for a row
//! that is wanted.

/// What is between the client and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Middle {
    /// A wire.
    Nothing,
    /// A program that drops.
    Drop,
    /// A program that sends on.
    Redirect,
    /// The director, by `dr`.
    Dr,
    /// The director, by `nat`.
    Nat,
    /// The director, by `ipip`.
    Ipip,
    /// nftables, which hashes the flow for a new destination.
    Nftables,
    /// `HAProxy` in TCP mode.
    Haproxy,
}

/// What one site measures: two rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What it is about.
    pub middle: Middle,
    /// The names of its rows.
    pub names: [String; 2],
}

impl Pair {
    /// Whether one of its rows has `part` in its name.
    pub fn has(&self, part: &str) -> bool {
        self.names.iter().any(|name| name.contains(part))
    }
}

/// Live frames: how many a second, and the CPU time of one.
pub fn frames() -> Vec<Pair> {
    let table = [
        (Middle::Drop, "drop"),
        (Middle::Redirect, "redirect"),
        (Middle::Dr, "dr-v4-tcp"),
        (Middle::Nat, "nat-v4-tcp"),
        (Middle::Ipip, "ipip-v4-tcp"),
        (Middle::Nftables, "nftables-v4-tcp"),
    ];
    pairs(&table, |word| [format!("live-{word}"), format!("live-{word}-cpu")])
}

/// A client's load: connections a second, and bytes a second of few connections.
pub fn load() -> Vec<Pair> {
    let table = [
        (Middle::Nothing, "direct"),
        (Middle::Dr, "dr"),
        (Middle::Nat, "nat"),
        (Middle::Nftables, "nftables"),
        (Middle::Haproxy, "haproxy"),
    ];
    pairs(&table, |word| [format!("wrk-{word}-connections"), format!("wrk-{word}-bulk")])
}

fn pairs(table: &[(Middle, &str)], names: impl Fn(&str) -> [String; 2]) -> Vec<Pair> {
    table.iter().map(|&(middle, word)| Pair { middle, names: names(word) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_finds_the_pairs_that_have_it() {
        let found = |part: &str| {
            let pairs: Vec<_> = frames().into_iter().chain(load()).filter(|pair| pair.has(part)).collect();
            pairs.into_iter().map(|pair| pair.middle).collect::<Vec<_>>()
        };
        assert_eq!(found("live-redirect-cpu"), [Middle::Redirect]);
        assert_eq!(found("haproxy"), [Middle::Haproxy]);
        assert_eq!(found("nftables"), [Middle::Nftables; 2]);
        assert_eq!(found("wrr"), []);
        assert_eq!(found("").len(), 11);
    }
}
