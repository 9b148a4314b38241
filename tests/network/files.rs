//! Files that are not what they should be: configurations, stores, sockets. One error each, and nothing changed.

use std::fs::{self, File};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lb_tests::lab::site::{Family, Site};
use lb_tests::lab::wait_until;

use crate::refusals::is_one_error;
use crate::support::{Balanced, Method::Dr};

/// Far more than any configuration has.
const HUGE: u64 = 100 * 1024 * 1024;
/// However large a file is, nobody waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

const OTHER_SITE: &str = r#"
[[service]]
name = "mail"
vip = "10.0.0.77"
port = 25
protocol = "tcp"
pools = ["mail"]

[[pool]]
name = "mail"
server = []
"#;

fn served(name: &str) -> Result<Balanced> {
    let balanced = Balanced::new(Site::one_segment(name, 1)?, &[Dr])?;
    balanced.serve(Family::V4, "wrr", &[1])?;
    Ok(balanced)
}

fn lb_ctl(balanced: &Balanced, line: &str) -> Result<Output> {
    balanced.site.director.lb_ctl_output(&line.split_whitespace().collect::<Vec<_>>())
}

/// `text` up to the middle of the first value of `key`.
fn cut_at<'text>(text: &'text str, key: &str) -> Result<&'text str> {
    let place = text.find(key).with_context(|| format!("no {key} in {text}"))?;
    Ok(&text[..place + key.len() + 6])
}

#[test]
fn a_configuration_that_cannot_be_meant_is_refused() -> Result<()> {
    let balanced = served("files")?;
    let director = &balanced.site.director;
    let (config, history) = (director.lb("export")?, director.lb("history")?);
    let another_interface = format!("{OTHER_SITE}\n[[interface]]\nname = \"eth7\"\n");
    let rows: [(&str, &[u8], &[&str]); 7] = [
        ("an empty file", b"", &["no service", "--allow-empty"]),
        ("half a file", cut_at(&config, "vip = ")?.as_bytes(), &["half-a-file:"]),
        ("no text", &[0xff, 0xfe, 0x00, 0x80], &["no-text", "UTF-8"]),
        ("JSON", b"{\"service\": []}", &["JSON:1"]),
        ("another site", OTHER_SITE.as_bytes(), &["removes service web", "--yes"]),
        ("an interface that is not here", another_interface.as_bytes(), &["eth7"]),
        (
            "a server without a service's pool",
            b"[[pool]]\nname = \"web\"\n",
            &["no service", "--allow-empty"],
        ),
    ];
    let mut wrong = Vec::new();
    for (name, bytes, words) in rows {
        let file = director.directory().join(name.replace(' ', "-"));
        fs::write(&file, bytes)?;
        let output = lb_ctl(&balanced, &format!("apply {}", file.display()))?;
        wrong.extend(is_one_error(name, &output, words).err());
        assert_eq!(
            (director.lb("export")?, director.lb("history")?),
            (config.clone(), history.clone()),
            "{name}"
        );
    }
    let huge = director.directory().join("huge");
    File::create(&huge)?.set_len(HUGE)?;
    let begin = Instant::now();
    let output = lb_ctl(&balanced, &format!("apply {}", huge.display()))?;
    wrong.extend(is_one_error("a huge file", &output, &["huge", "more than 16777216 bytes"]).err());
    ensure!(begin.elapsed() < PATIENCE, "it took {:?}", begin.elapsed());
    for line in ["rollback 999", "rollback 999 --yes", "export --revision 999", "rollback 0"] {
        let number = line.split(' ').find(|word| word.parse::<u32>().is_ok()).unwrap_or_default();
        let words = [&*format!("there is no revision {number}"), "history"];
        wrong.extend(is_one_error(line, &lb_ctl(&balanced, line)?, &words).err());
    }
    ensure!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((director.lb("export")?, director.lb("history")?), (config, history));
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    Ok(())
}

#[test]
fn an_agent_with_a_file_takes_no_site_away() -> Result<()> {
    let balanced = served("import")?;
    let director = &balanced.site.director;
    let config = director.lb("export")?;
    balanced.kill_agent()?;
    let file = director.directory().join("lb.toml");
    fs::write(&file, "")?;
    let agent =
        |state: &str| lb_ctl(&balanced, &format!("--state-dir {state} agent --config {}", file.display()));
    let other = director.directory().join("elsewhere");
    is_one_error("an empty file", &agent(&other.to_string_lossy())?, &["10.0.0.10:80/tcp", "--state-dir"])?;
    fs::write(&file, OTHER_SITE)?;
    is_one_error("another site", &agent(&other.to_string_lossy())?, &["10.0.0.10:80/tcp", "--state-dir"])?;
    ensure!(!other.join("store.json").exists(), "a refused file was imported");
    let store = director.directory().join("state/store.json");
    fs::remove_file(&store)?;
    fs::write(&file, &config)?;
    let state = store.with_file_name("");
    is_one_error("a lost store", &agent(&state.to_string_lossy())?, &["is gone", "cp "])?;
    assert_eq!(balanced.curl(Family::V4)?, "web1");
    Ok(())
}

/// What is made of a store, and what the agent says of it.
type Damage = (&'static str, fn(&Path, &str) -> Result<()>, &'static [&'static str]);

const STORES: &[Damage] = &[
    ("half a store", |path, text| Ok(fs::write(path, cut_at(text, "\"vip\": ")?)?), &["line ", "repair it"]),
    ("an empty store", |path, _| Ok(fs::write(path, "")?), &["line 1", "repair it"]),
    (
        "a store of a newer version",
        |path, text| Ok(fs::write(path, text.replacen("\"format\": 2", "\"format\": 99", 1))?),
        &["format 99", "newer version"],
    ),
    ("a huge store", |path, _| Ok(File::create(path)?.set_len(HUGE)?), &["more than", "repair it"]),
    ("a store that is no text", |path, _| Ok(fs::write(path, [0xff, 0xfe])?), &["line 1 is not UTF-8"]),
    ("no store", |path, _| Ok(fs::remove_file(path)?), &["is gone", "put it back"]),
];

#[test]
fn a_store_that_cannot_be_used_stops_no_traffic_and_the_way_back_works() -> Result<()> {
    let balanced = served("stores")?;
    let director = &balanced.site.director;
    let config = director.lb("export")?;
    let store = director.directory().join("state/store.json");
    for &(name, damage, words) in STORES {
        let history = director.lb("history")?;
        let number =
            balanced.lb_json("status")?.pointer("/revision/number").cloned().context("no revision")?;
        ensure!(history.contains("service add web"), "{history}");
        balanced.kill_agent()?;
        let good = fs::read_to_string(&store)?;
        damage(&store, &good).context(name)?;
        let length = || fs::metadata(&store).map_or(0, |file| file.len());
        let damaged = length();
        let begin = Instant::now();
        for line in ["agent", "attach eth0"] {
            let output = lb_ctl(&balanced, line)?;
            is_one_error(name, &output, &[&["store.json"], words].concat())?;
            assert_eq!(length(), damaged, "{name}: the store was written to");
            assert_eq!(balanced.curl(Family::V4)?, "web1", "{name}");
        }
        ensure!(begin.elapsed() < PATIENCE, "{name}: it took {:?}", begin.elapsed());
        assert_eq!(director.lb("history")?, history, "{name}: without an agent");
        assert_eq!(director.lb(&format!("export --revision {number}"))?, config, "{name}: without an agent");
        is_one_error(name, &lb_ctl(&balanced, "export")?, &["store.json", "cp "])?;
        let error = String::from_utf8(lb_ctl(&balanced, "agent")?.stderr)?;
        let command = error.split('`').find(|word| word.starts_with("cp ")).context(error.clone())?;
        director.run(&["sh", "-c", command])?;
        let agent = director.spawn("agent", &[&binary()?, "agent"])?;
        wait_until(PATIENCE, "the agent", || director.lb("export").is_ok())?;
        assert_eq!(director.lb("export")?, config, "{name}: after the way back");
        agent.leave();
    }
    Ok(())
}

#[test]
fn the_socket_of_another_is_left_alone() -> Result<()> {
    let site = Site::one_segment("socket", 0)?;
    let director = &site.director;
    let socket = director.directory().join("agent.sock");
    let _listener = UnixListener::bind(&socket)?;
    for line in [&["agent"][..], &["attach", "eth0"]] {
        is_one_error("somebody listens", &director.lb_ctl_output(line)?, &["agent.sock"])?;
    }
    fs::remove_file(&socket)?;
    fs::write(&socket, "precious")?;
    for line in [&["agent"][..], &["attach", "eth0"]] {
        is_one_error("a file", &director.lb_ctl_output(line)?, &["agent.sock"])?;
        assert_eq!(fs::read_to_string(&socket)?, "precious");
    }
    ensure!(!director.ip("link show dev eth0")?.contains("xdp"), "attached");
    Ok(())
}

fn binary() -> Result<String> {
    Ok(lb_tests::lab::lb_ctl::binary()?.to_string_lossy().into_owned())
}
