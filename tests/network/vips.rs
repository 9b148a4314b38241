//! VIPs on the director's interfaces, and what happens when that cannot be stored.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use lb_tests::lab::site::{DEVICE, Family, INNER_DEVICE, Site};
use lb_tests::lab::wait_until;
use serde_json::Value;

use crate::support::Balanced;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_vip_whose_place_cannot_be_stored_is_not_put_on() -> Result<()> {
    let balanced = Balanced::new(Site::two_arms("unstored", 0)?, &[])?;
    let director = &balanced.site.director;
    balanced.add_service("web", Family::V4, "rr")?;
    let vip = balanced.site.vip(Family::V4);
    let has = |device: &str| {
        director
            .ip(&format!("address show dev {device}"))
            .is_ok_and(|text| text.contains(&format!("{vip}/32")))
    };
    wait_until(SOON, "the VIP", || has(DEVICE))?;
    let obstacle = director.directory().join("state/store.json.new");
    fs::create_dir(&obstacle)?;
    director.ip(&format!("link delete dev {DEVICE}"))?;
    let told = || {
        balanced
            .lb_json("status")
            .is_ok_and(|status| status.to_string().contains("cannot store where the VIPs are"))
    };
    wait_until(SOON, "the failure to be told", told)?;
    ensure!(!has(INNER_DEVICE), "put on without a record");
    fs::remove_dir(&obstacle)?;
    wait_until(SOON, "the VIP on the other interface", || has(INNER_DEVICE))?;
    wait_until(SOON, "the warning to go", || !told())?;
    let stored: Value = serde_json::from_slice(&fs::read(director.directory().join("state/store.json"))?)?;
    let place = stored.pointer(&format!("/placed/{vip}"));
    assert_eq!(place.and_then(Value::as_str), Some(INNER_DEVICE), "{stored}");
    Ok(())
}
