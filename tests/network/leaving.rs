//! Servers that leave: they get nothing new, and go when their last connection has ended.

use std::time::Duration;

use anyhow::{Result, ensure};
use lb_tests::lab::nginx::Nginx;
use lb_tests::lab::site::{Family, Site};
use lb_tests::lab::{http, wait_until};

use crate::control::{file, site_with_connections};
use crate::support::{
    Balanced,
    Method::{Dr, Nat},
    PORT, socket,
};

#[test]
fn a_server_that_leaves_through_a_file_keeps_its_connections_to_their_end() -> Result<()> {
    let (balanced, mut connections) = site_with_connections("leave")?;
    let whole = file(&balanced, "whole.toml", &balanced.site.director.lb("export")?)?;
    balanced.lb("server remove web web1 --dry-run")?;
    let without: Vec<_> =
        std::fs::read_to_string(&whole)?.split("[[pool.server]]").map(str::to_owned).collect();
    let without: Vec<_> = without.into_iter().filter(|part| !part.contains("\"web1\"")).collect();
    let part = file(&balanced, "part.toml", &without.join("[[pool.server]]"))?;

    balanced.lb(&format!("apply {part}"))?;
    assert_eq!(connections[0].get("/")?.server, "web1", "its connection stays");
    assert_eq!(balanced.shares(Family::V4, 4)?.keys().collect::<Vec<_>>(), ["web2"]);
    let leaving = || balanced.site.director.lb("server list").is_ok_and(|list| list.contains("leaving"));
    ensure!(leaving(), "it is not shown");
    balanced.lb(&format!("apply {whole}"))?;
    ensure!(!leaving(), "it is back");
    assert_eq!(connections[0].get("/")?.server, "web1", "and kept its connection");
    balanced.lb(&format!("apply {part}"))?;
    drop(connections.remove(0));
    // The client's FIN was seen: the entry goes after its two minutes, or at once when it is let go by hand.
    balanced.lb("server remove web web1 --yes")?;
    ensure!(!leaving(), "it was let go");
    assert_eq!(connections[0].get("/")?.server, "web2");
    Ok(())
}

#[test]
fn a_server_that_leaves_without_a_connection_is_gone_within_seconds() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("gone", 2)?, &[Dr, Dr])?;
    balanced.serve(Family::V4, "rr", &[1, 1])?;
    let without = file(
        &balanced,
        "one.toml",
        "[[service]]\nname = \"web\"\nvip = \"10.0.0.10\"\nport = 80\nprotocol = \"tcp\"\nscheduler = \"rr\"\n\
         [[pool]]\nname = \"web\"\nserver = [{ name = \"web2\", address = \"10.0.0.12\" }]\n",
    )?;
    balanced.lb(&format!("apply {without}"))?;
    wait_until(Duration::from_secs(10), "the server to leave", || {
        balanced.site.director.lb("server list").is_ok_and(|list| !list.contains("web1"))
    })?;
    let servers = balanced.lb_json("status")?;
    let used = servers["tables"].as_array().and_then(|all| all.iter().find(|row| row["table"] == "servers"));
    assert_eq!(used.map(|row| row["used"].clone()), Some(1.into()), "{servers}");
    assert_eq!(balanced.site.director.lb("diff")?, "no difference\n");
    Ok(())
}

/// Only the port tells nat servers at one address apart.
#[test]
fn of_two_nat_servers_at_one_address_the_one_that_leaves_keeps_its_connections() -> Result<()> {
    const OTHER: u16 = 8_080;
    let balanced = Balanced::new(Site::two_arms("twoports", 1)?, &[Nat])?;
    let server = &balanced.site.servers[0];
    let other = Nginx::start(&server.host, OTHER)?;
    other.add_file("own", 10)?;
    balanced.add_service("web", Family::V4, "rr")?;
    let address = server.address(Family::V4);
    for (name, port) in [("one", PORT), ("two", OTHER)] {
        balanced.lb(&format!("server add web {address}:{port} --name {name} --method nat"))?;
    }
    let service = socket(balanced.site.vip(Family::V4), PORT);
    let is_two = |connection: &mut http::Connection| anyhow::Ok(connection.get("/files/own")?.status == 200);
    let open = || {
        let mut connection = http::Connection::open(&balanced.site.client, service)?;
        anyhow::Ok((is_two(&mut connection)?, connection))
    };
    let (first, second) = (open()?, open()?);
    ensure!(first.0 != second.0, "rr gave both to one server");
    let mut kept = if first.0 { first.1 } else { second.1 };

    let export = balanced.site.director.lb("export")?;
    let parts = export.split("[[pool.server]]").filter(|part| !part.contains("\"two\""));
    let without = file(&balanced, "one.toml", &parts.collect::<Vec<_>>().join("[[pool.server]]"))?;
    balanced.lb(&format!("apply {without}"))?;
    let list = balanced.site.director.lb("server list")?;
    ensure!(list.lines().any(|line| line.contains("two") && line.contains("leaving")), "{list}");
    ensure!(is_two(&mut kept)?, "its connection went to the other port");
    for _ in 0..4 {
        ensure!(!open()?.0, "a new connection went to the server that leaves");
    }
    ensure!(is_two(&mut kept)?, "its connection went to the other port");
    Ok(())
}
