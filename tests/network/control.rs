//! Changes that are asked for twice, remembered by number, and ordered beside the configuration.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::lab::site::{DEVICE, Family, Site};
use lb_tests::lab::{http, wait_until};
use serde_json::Value;

use crate::support::{Balanced, Method::Dr, PORT, socket};

/// Two servers with a connection to each.
pub(crate) fn site_with_connections(name: &str) -> Result<(Balanced, Vec<http::Connection>)> {
    let balanced = Balanced::new(Site::one_segment(name, 2)?, &[Dr, Dr])?;
    balanced.serve(Family::V4, "rr", &[1, 1])?;
    let service = socket(balanced.site.vip(Family::V4), PORT);
    let open = || -> Result<(String, http::Connection)> {
        let mut connection = http::Connection::open(&balanced.site.client, service)?;
        Ok((connection.get("/")?.server, connection))
    };
    let mut connections = vec![open()?, open()?];
    connections.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok((balanced, connections.into_iter().map(|(_, connection)| connection).collect()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(balanced: &Balanced, line: &str) -> Result<Output> {
    balanced.site.director.lb_ctl_output(&line.split_whitespace().collect::<Vec<_>>())
}

/// Writes `text` as a file of the director and gives its path.
pub(crate) fn file(balanced: &Balanced, name: &str, text: &str) -> Result<String> {
    let path = balanced.site.director.directory().join(name);
    std::fs::write(&path, text)?;
    Ok(path.to_string_lossy().into_owned())
}

fn status_of(balanced: &Balanced, key: &str) -> Result<Value> {
    balanced.lb_json("status")?.pointer(key).cloned().with_context(|| format!("no {key} in status"))
}

#[test]
fn what_hurts_shows_its_plan_and_is_not_done_without_a_word() -> Result<()> {
    let (balanced, mut connections) = site_with_connections("plan")?;
    let before = balanced.site.director.lb("export")?;
    let empty = file(&balanced, "empty.toml", "[[pool]]\nname = \"web\"\n")?;
    let other = file(&balanced, "other.toml", &before.replace("10.0.0.10", "10.0.0.99"))?;
    let rows = [
        (
            "server remove web web1".to_owned(),
            "cuts:  service web, server web/web1: 1 live connection",
            "it cuts 1 live connection",
        ),
        (
            "server set web web1 --method nat".to_owned(),
            "~ server web/web1: method dr -> nat",
            "it cuts 1 live connection",
        ),
        (
            "service set web --port 81".to_owned(),
            "cuts:  service web, server web/web2: 1",
            "it cuts 2 live connections",
        ),
        (
            "service remove web".to_owned(),
            "- service web",
            "it cuts 2 live connections and removes service web",
        ),
        (format!("detach {DEVICE}"), "- interface eth0", "it cuts 2 live connections and ends forwarding"),
        (
            format!("apply {empty} --allow-empty"),
            "- server web/web1",
            "it cuts 2 live connections and removes service web",
        ),
        (format!("apply {other} --now"), "~ service web", "it cuts 2 live connections"),
    ];
    for (line, plan, refusal) in &rows {
        for (line, code, word) in [(format!("{line} --dry-run"), 0, ""), (line.clone(), 1, *refusal)] {
            let output = run(&balanced, &line)?;
            let (told, error) = (text(&output.stdout), text(&output.stderr));
            assert_eq!(output.status.code(), Some(code), "{line}: {told}{error}");
            ensure!(told.contains(plan), "{line} does not show {plan:?}: {told}{error}");
            ensure!(error.contains(word), "{line} does not say {word:?}: {error}");
            assert_eq!(balanced.site.director.lb("export")?, before, "{line} changed something");
        }
        for connection in &mut connections {
            connection.get("/").with_context(|| format!("after {line}"))?;
        }
    }
    let refused = text(&run(&balanced, "service remove web --json")?.stdout);
    let refused: Value = serde_json::from_str(&refused)?;
    assert_eq!(refused.pointer("/error/kind"), Some(&"unconfirmed".into()));
    assert_eq!(refused.pointer("/error/plan/cuts/0/connections"), Some(&1.into()), "{refused}");
    balanced.lb("server remove web web1 --yes")?;
    ensure!(connections[0].get("/").is_err(), "its server was removed");
    assert_eq!(connections[1].get("/")?.server, "web2");
    Ok(())
}

#[test]
fn a_terminal_is_asked() -> Result<()> {
    let (balanced, _connections) = site_with_connections("ask")?;
    let director = &balanced.site.director;
    let program = lb_tests::lab::lb_ctl::binary()?;
    let ask = |answer: &str| {
        let command = format!("{} service remove web", program.display());
        let line = format!("printf '{answer}\\n' | NO_COLOR=1 script -qec '{command}' /dev/null");
        director.output(&["sh", "-c", &line])
    };
    let refused = ask("n")?;
    let told = text(&refused.stdout);
    ensure!(told.contains("it cuts 2 live connections and removes service web. Do it? [y/N]"), "{told}");
    ensure!(told.contains("not done"), "{told}");
    assert_eq!(balanced.lb_json("service list")?.as_array().map(Vec::len), Some(1));
    let done = text(&ask("y")?.stdout);
    ensure!(done.contains("2 live connections cut"), "{done}");
    assert_eq!(balanced.lb_json("service list")?.as_array().map(Vec::len), Some(0));
    Ok(())
}

#[test]
fn every_revision_is_signed_and_can_be_made_again() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("history", 2)?, &[Dr, Dr])?;
    balanced.serve(Family::V4, "rr", &[1, 1])?;
    let director = &balanced.site.director;
    let before = director.lb("export")?;
    let number = |balanced: &Balanced| -> Result<u64> {
        status_of(balanced, "/revision/number")?.as_u64().context("no number")
    };
    let first = number(&balanced)?;
    director.lb_ctl(&["server", "set", "web", "web1", "--weight", "7", "--message", "for the feast"])?;
    assert_eq!(number(&balanced)?, first + 1);
    let last = &balanced.lb_json("history")?[0];
    assert_eq!(
        (last["number"].as_u64(), last["user"].as_str(), last["uid"].as_u64(), last["message"].as_str()),
        (Some(first + 1), Some("root"), Some(0), Some("for the feast"))
    );
    let command = last["command"].as_str().unwrap_or_default();
    assert_eq!(command, "server set web web1 --weight 7 --message 'for the feast'");
    assert_eq!(director.lb(&format!("export --revision {first}"))?, before);

    balanced.lb("server set web web1 --weight 7")?;
    assert_eq!(number(&balanced)?, first + 1, "it was so already");
    balanced.lb("server drain web web2")?;
    assert_eq!(number(&balanced)?, first + 1, "an order is no revision");
    balanced.lb("rollback")?;
    assert_eq!((number(&balanced)?, director.lb("export")?), (first + 2, before.clone()));
    balanced.lb(&format!("rollback {}", first + 1))?;
    assert_ne!(director.lb("export")?, before);
    assert_eq!(balanced.shares(Family::V4, 4)?.keys().collect::<Vec<_>>(), ["web1"], "the drain holds");
    let missing = text(&run(&balanced, "rollback 999")?.stderr);
    ensure!(
        missing.contains("there is no revision 999: 1 to") && missing.contains("lb-ctl history"),
        "{missing}"
    );
    Ok(())
}

/// As somebody else than root, over the socket of a group.
#[test]
fn an_order_is_signed_by_who_gave_it_and_outlives_the_agent() -> Result<()> {
    let site = Site::one_segment("order", 2)?;
    site.director.lb(&format!("attach {DEVICE} --socket-group daemon"))?;
    let balanced = Balanced::attached(site, &[Dr, Dr])?;
    balanced.serve(Family::V4, "rr", &[1, 1])?;
    let director = &balanced.site.director;
    let program = lb_tests::lab::lb_ctl::binary()?.to_string_lossy().into_owned();
    let daemon = ["setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups", &program];
    director.run(&[&daemon[..], &["server", "drain", "web", "web1"]].concat())?;
    director
        .run(&[&daemon[..], &["server", "set", "web", "web2", "--weight", "9", "--temporary"]].concat())?;
    let orders = |balanced: &Balanced| -> Result<(Value, Value)> {
        let orders = status_of(balanced, "/orders")?;
        Ok((orders["web/web1"]["drain"]["user"].clone(), orders["web/web2"]["weight"]["weight"].clone()))
    };
    assert_eq!(orders(&balanced)?, ("daemon".into(), 9.into()));
    balanced.kill_agent()?;
    let agent = director.spawn("agent", &[&program, "agent"])?;
    wait_until(Duration::from_secs(20), "the new agent", || balanced.agent().is_ok())
        .with_context(|| agent.log().unwrap_or_default())?;
    assert_eq!(orders(&balanced)?, ("daemon".into(), 9.into()));
    assert_eq!(balanced.shares(Family::V4, 4)?.keys().collect::<Vec<_>>(), ["web2"]);
    let listed = director.lb("status")?;
    ensure!(listed.contains("order: web/web1 draining since") && listed.contains("by daemon"), "{listed}");
    balanced.lb("server undrain web web1")?;
    balanced.lb("server undrain web web2")?;
    assert_eq!(status_of(&balanced, "/orders").ok(), None);
    Ok(())
}

#[test]
fn a_plan_for_another_revision_is_refused() -> Result<()> {
    let balanced = Balanced::new(Site::one_segment("expect", 1)?, &[Dr])?;
    balanced.serve(Family::V4, "rr", &[1])?;
    let director = &balanced.site.director;
    let socket = director.directory().join("agent.sock").to_string_lossy().into_owned();
    let post = |body: &str| {
        let header = "content-type: application/json";
        let url = "http://lb/v1/changes";
        director.run(&["curl", "-s", "--unix-socket", &socket, "-H", header, "-d", body, url])
    };
    let refused = post(r#"{"change":"pool-add","name":"late","expect":1}"#)?;
    ensure!(refused.contains("it was revision 1, now it is"), "{refused}");
    let done = post(r#"{"change":"pool-add","name":"early"}"#)?;
    ensure!(done.contains("\"name\":\"early\""), "{done}");
    assert_eq!(balanced.lb_json("history")?[0]["command"], "api: pool-add");
    Ok(())
}
