//! The shares that real connections get.

use std::collections::BTreeMap;

use anyhow::Result;
use lb_tests::lab::http;
use lb_tests::lab::site::{Family, Site};

use crate::rows;
use crate::support::{Balanced, Method::Dr, PORT, socket};

#[test]
fn wrr_shares_are_exact_after_each_turn() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("wrr", 3)?, &[Dr; 3])?;
    balanced.serve(Family::V4, "wrr", &[5, 3, 1])?;
    let turn = [("web1", 5), ("web2", 3), ("web3", 1)].map(|(name, share)| (name.to_owned(), share));
    for number in 1..=20 {
        assert_eq!(balanced.shares(Family::V4, 9)?, BTreeMap::from(turn.clone()), "turn {number}");
    }
    Ok(())
}

#[test]
fn rr_ignores_weights() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("rr", 3)?, &[Dr; 3])?;
    balanced.serve(Family::V4, "rr", &[5, 3, 1])?;
    let shares = balanced.shares(Family::V4, 30)?;
    assert_eq!(shares.into_values().collect::<Vec<_>>(), [10, 10, 10]);
    Ok(())
}

rows! { hashed_shares_are_near_the_weights:
    mh_shares_over_10_000_flows_v4 => "mh", Family::V4;
    mh_shares_over_10_000_flows_v6 => "mh", Family::V6;
    sh_shares_over_10_000_clients_v4 => "sh", Family::V4;
    sh_shares_over_10_000_clients_v6 => "sh", Family::V6;
}

/// Every flow has a client address of its own, for `sh` looks at nothing else.
fn hashed_shares_are_near_the_weights(scheduler: &str, family: Family) -> Result<()> {
    const WEIGHTS: [u32; 3] = [3, 2, 1];
    const FLOWS: u16 = 10_000;
    let balanced = Balanced::new(Site::one_segment(scheduler, 3)?, &[Dr; 3])?;
    balanced.serve(family, scheduler, &WEIGHTS)?;
    balanced.wait_for_slots("settling")?;
    let clients = balanced.site.many_clients(family)?;
    let service = socket(balanced.site.vip(family), PORT);
    let mut shares: BTreeMap<String, u32> = BTreeMap::new();
    for number in 0..FLOWS {
        let mut connection =
            http::Connection::open_from(&balanced.site.client, clients.address(number), service)?;
        *shares.entry(connection.get("/")?.server).or_default() += 1;
    }
    for (server, weight) in balanced.site.servers.iter().zip(WEIGHTS) {
        let percent = |count: u32, of: u32| f64::from(count) * 100.0 / f64::from(of);
        let (got, due) =
            (percent(shares[server.name()], FLOWS.into()), percent(weight, WEIGHTS.iter().sum()));
        assert!((got - due).abs() <= 2.0, "{} got {got:.1} % and not {due:.1} %", server.name());
    }
    Ok(())
}

#[test]
fn sh_keeps_a_client_on_its_server() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("sh", 3)?, &[Dr; 3])?;
    balanced.serve(Family::V4, "sh", &[1, 1, 1])?;
    assert_eq!(balanced.shares(Family::V4, 20)?.len(), 1);
    Ok(())
}
