//! Tables and programs that are exchanged under load: downloads go on, and every known flow stays known.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, HashMap, Map, MapData};
use lb_tests::full;
use lb_tests::lab::site::{Family, Site};
use lb_tests::lab::{ChildGuard, Pattern, has_ended, http, lb_ctl, wait_until};
use serde_json::Value;

use crate::rows;
use crate::support::{
    Balanced,
    Method::{self, Dr, Nat},
    PORT, socket,
};

const LENGTH: u64 = 200_000_000;
const FLOWS: u32 = 100_000;
/// How long a download takes: longer than everything that happens meanwhile.
const SECONDS: u64 = 15;

type Flow = [u8; 24];
type Entry = [u8; 16];

/// A site with one service, a download through it that takes some seconds, and a table full of known flows.
struct Busy {
    balanced: Balanced,
    download: ChildGuard,
    connection: http::Connection,
    known: Vec<Flow>,
    length: u64,
}

impl Busy {
    fn new(name: &str, method: Method, length: u64, flows: u32) -> Result<Self> {
        let balanced = Balanced::new(Site::routed(name, 1, 0)?, &[method])?;
        balanced.serve(Family::V4, "rr", &[1])?;
        balanced.web[0].add_file("big", length)?;
        let service = socket(balanced.site.vip(Family::V4), PORT);
        let mut connection = http::Connection::open(&balanced.site.client, service)?;
        connection.get("/")?;
        let known = add_flows(&pins(&balanced), flows)?;
        let (file, url) = (file(&balanced), balanced.url(Family::V4, "/files/big"));
        let path = file.to_string_lossy().into_owned();
        let rate = (length / SECONDS).to_string();
        let argv = ["curl", "-sSf", "--limit-rate", &rate, "-o", &path, &url];
        let download = balanced.site.client.spawn("curl", &argv)?;
        let mut busy = Self { balanced, download, connection, known, length };
        busy.arrives(20)?;
        Ok(busy)
    }

    /// Waits until one part in `part` of the download is there; it must not be over by then.
    fn arrives(&mut self, part: u64) -> Result<()> {
        let (file, want) = (file(&self.balanced), self.length / part);
        wait_until(Duration::from_mins(1), "a part of the download", || {
            fs::metadata(&file).is_ok_and(|file| file.len() >= want) || !self.download.is_running()
        })?;
        ensure!(self.download.is_running(), "the download ended early: {}", self.download.log()?);
        Ok(())
    }

    /// The open connection goes on, every known flow is there, and nothing of an exchange is left.
    fn goes_on(&mut self, after: &str) -> Result<()> {
        assert_eq!(self.connection.get("/")?.server, "web1", "after {after}");
        let table = connections(&pins(&self.balanced))?;
        for flow in &self.known {
            ensure!(table.get(flow, 0).is_ok(), "{flow:?} is not known after {after}");
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(self.balanced.site.director.directory().join("bpf"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            // The kernel's own files at the root of the mount have a full stop in their names, pins never.
            names.extend((!name.contains('.')).then_some(name));
        }
        names.sort_unstable();
        assert_eq!(names, ["links", "maps", "redirects"], "after {after}");
        Ok(())
    }

    /// The download ends well, and nobody was answered with a reset.
    fn ends(mut self) -> Result<()> {
        ensure!(self.download.is_running(), "all of it was over too late: {}", self.download.log()?);
        let status = self.download.wait(Duration::from_mins(2))?;
        ensure!(status.success(), "curl failed: {}", self.download.log()?);
        let client = &self.balanced.site.client;
        let expected = client.directory().join("expected");
        Pattern::write_file(&expected, self.length)?;
        client.run(&["cmp", &file(&self.balanced).to_string_lossy(), &expected.to_string_lossy()])?;
        for reason in ["no-connection", "server-removed", "no-server"] {
            assert_eq!(self.balanced.packets_of(reason)?, 0, "{reason}");
        }
        assert_eq!(self.balanced.curl(Family::V4)?, "web1");
        Ok(())
    }

    fn limit(&self, table: &str) -> Result<u64> {
        let tables = self.balanced.lb_json("limits list")?;
        let row = tables.as_array().context("no list")?.iter().find(|row| row["table"] == table);
        row.and_then(|row| row["limit"].as_u64()).with_context(|| format!("no {table} in {tables}"))
    }

    fn stop_agent(&self) -> Result<()> {
        let pid = self.balanced.agent()?;
        self.balanced.site.director.run(&["kill", &pid.to_string()])?;
        wait_until(Duration::from_secs(10), "the agent to end", || has_ended(pid))
    }

    fn start_agent(&self) -> Result<ChildGuard> {
        let binary = lb_ctl::binary()?.to_string_lossy().into_owned();
        let agent = self.balanced.site.director.spawn("agent", &[&binary, "agent"])?;
        wait_until(Duration::from_secs(30), "the new agent", || self.balanced.lb("status --json").is_ok())
            .with_context(|| agent.log().unwrap_or_default())?;
        Ok(agent)
    }
}

fn file(balanced: &Balanced) -> PathBuf {
    balanced.site.client.directory().join("big")
}

fn pins(balanced: &Balanced) -> PathBuf {
    balanced.site.director.directory().join("bpf/maps")
}

fn connections(maps: &Path) -> Result<HashMap<MapData, Flow, Entry>> {
    Ok(Map::HashMap(MapData::from_pin(maps.join("CONNECTIONS"))?).try_into()?)
}

/// Makes `count` flows known like the one that is: with other ports and addresses of the client.
fn add_flows(maps: &Path, count: u32) -> Result<Vec<Flow>> {
    let mut table = connections(maps)?;
    let known = table.iter().next().context("no connection is known")??;
    let flows: Vec<Flow> = (1..=count)
        .map(|number| {
            let mut flow = known.0;
            flow[0..4].copy_from_slice(&number.to_be_bytes());
            flow
        })
        .collect();
    for flow in &flows {
        table.insert(flow, known.1, 0)?;
    }
    Ok(flows)
}

rows! { limits_change_under_a_download:
    limits_change_under_a_download_by_dr => Dr, LENGTH, FLOWS;
    limits_change_under_a_download_by_nat => Nat, LENGTH, FLOWS;
}

fn limits_change_under_a_download(method: Method, length: u64, flows: u32) -> Result<()> {
    if !full::is_asked_for(&format!("limits under a 200 MB download by {}", method.word()))? {
        return Ok(());
    }
    change_limits(&format!("limits-{}", method.word()), method, length, flows)
}

#[test]
fn limits_change_while_a_connection_is_open() -> Result<()> {
    change_limits("limits", Nat, LENGTH / 10, 5_000)
}

fn change_limits(name: &str, method: Method, length: u64, flows: u32) -> Result<()> {
    let mut busy = Busy::new(name, method, length, flows)?;
    busy.balanced.lb("limits set --connections 1000000")?;
    busy.goes_on("more connections")?;
    assert_eq!(busy.limit("connections")?, 1_000_000);
    busy.balanced.lb("limits set --servers 50000 --services 9000 --slots 3000000")?;
    busy.goes_on("more of the others")?;
    assert_eq!(
        [busy.limit("services")?, busy.limit("servers")?, busy.limit("slots")?],
        [9_000, 50_000, 3_000_000]
    );
    let toml = busy.balanced.site.director.lb("export")?;
    assert!(toml.contains("[limits]") && toml.contains("connections = 1000000"), "{toml}");
    let least = if flows > 150_000 { flows } else { 150_000 };
    busy.balanced.lb(&format!("limits set --connections {least}"))?;
    busy.goes_on("fewer connections")?;
    busy.ends()
}

rows! { a_program_is_replaced_and_tables_are_migrated:
    an_upgrade_under_a_download_by_dr => Dr;
    an_upgrade_under_a_download_by_nat => Nat;
}

fn a_program_is_replaced_and_tables_are_migrated(method: Method) -> Result<()> {
    if !full::is_asked_for(&format!("an upgrade under a 200 MB download by {}", method.word()))? {
        return Ok(());
    }
    upgrade(&format!("upgrade-{}", method.word()), method, LENGTH, FLOWS)
}

#[test]
fn tables_are_migrated_while_a_connection_is_open() -> Result<()> {
    upgrade("migrate", Dr, LENGTH / 10, 5_000)
}

fn upgrade(name: &str, method: Method, length: u64, flows: u32) -> Result<()> {
    let mut busy = Busy::new(name, method, length, flows)?;
    busy.balanced.lb("limits set --connections 300000")?;
    let refused = busy.balanced.lb("upgrade").map_err(|error| format!("{error:#}"));
    assert!(refused.as_ref().is_err_and(|error| error.contains("another agent")), "{refused:?}");
    busy.stop_agent()?;
    let status = busy.balanced.lb_json("status")?;
    assert!(status["unsupervised_since"].as_u64().is_some_and(|since| since > 1_700_000_000), "{status}");
    let told = busy.balanced.site.director.lb("status")?;
    assert!(told.contains("forwarding, not supervised since 20") && told.contains(" UTC"), "{told}");
    make_schema_1(&pins(&busy.balanced))?;
    let refused = busy.balanced.lb("agent").map_err(|error| format!("{error:#}"));
    let names_it =
        |error: &String| error.contains("version 1,") && error.contains("lb-ctl upgrade --migrate");
    assert!(refused.as_ref().is_err_and(names_it), "{refused:?}");
    let upgraded: Value = busy.balanced.lb_json("upgrade --migrate")?;
    assert_eq!((&upgraded["outcome"], &upgraded["from"]), (&"migrated".into(), &1.into()), "{upgraded}");
    busy.goes_on_unsupervised()?;
    let agent = busy.start_agent()?;
    busy.goes_on("a migration")?;
    assert_eq!(busy.limit("connections")?, 300_000);
    drop(agent);
    let agent = busy.start_agent()?;
    busy.goes_on("a replaced program")?;
    busy.ends()?;
    drop(agent);
    Ok(())
}

impl Busy {
    fn goes_on_unsupervised(&mut self) -> Result<()> {
        self.goes_on("an upgrade without an agent")?;
        let told = self.balanced.site.director.lb("upgrade")?;
        assert!(told.contains("nothing to upgrade"), "{told}");
        Ok(())
    }
}

/// Puts settings as schema 1 had them, half as long, in the place of the pinned ones.
fn make_schema_1(maps: &Path) -> Result<()> {
    let place = maps.join("SETTINGS");
    let now: Array<_, [u8; 32]> = Map::Array(MapData::from_pin(&place)?).try_into()?;
    let mut old: [u8; 16] = now.get(&0, 0)?[..16].try_into()?;
    old[..4].copy_from_slice(&1_u32.to_ne_bytes());
    let mut map = Array::<MapData, [u8; 16]>::create(1, 0)?;
    map.set(0, old, 0)?;
    fs::remove_file(&place)?;
    map.pin(&place)?;
    Ok(())
}

#[test]
fn limits_below_the_use_and_beyond_what_can_be_are_refused_with_numbers() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("limits-refused", 2)?, &[Dr, Dr])?;
    balanced.serve(Family::V4, "rr", &[1, 1])?;
    let service = socket(balanced.site.vip(Family::V4), PORT);
    http::Connection::open(&balanced.site.client, service)?.get("/")?;
    add_flows(&pins(&balanced), 2_000)?;
    let rows = [
        ("limits set --connections 1500", "to 1500: 2001 are in use"),
        ("limits set --connections 5", "5 is too low: at least 1024"),
        ("limits set --servers 1", "2 servers, each counted once per service, are too many: at most 1"),
        ("limits set --servers 1048576", "1048576 is too high: at most 1048575"),
    ];
    let before = balanced.lb_json("limits list")?;
    for (line, want) in rows {
        let refused = balanced.lb(line).map_err(|error| format!("{error:#}"));
        assert!(refused.as_ref().is_err_and(|error| error.contains(want)), "{line}: {refused:?}");
    }
    let limits = |list: &Value| -> Vec<Value> {
        list.as_array().into_iter().flatten().map(|row| row["limit"].clone()).collect()
    };
    assert_eq!(limits(&balanced.lb_json("limits list")?), limits(&before));
    balanced.lb("limits set --servers 2")?;
    let full = balanced.lb("server add web 192.0.2.99").map_err(|error| format!("{error:#}"));
    assert!(full.as_ref().is_err_and(|error| error.contains("lb-ctl limits set --servers")), "{full:?}");
    let warned = balanced.lb("status").and_then(|()| balanced.site.director.lb("status"))?;
    assert!(warned.contains("2 of 2 servers are in use (100 %)"), "{warned}");
    Ok(())
}
