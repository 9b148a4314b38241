//! A real client's load: wrk at nginx, through what is in the middle.

use std::fs;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use lb_tests::lab::ChildGuard;
use lb_tests::lab::nginx::Nginx;
use lb_tests::measure::{Sink, row};
use lb_tests::rows::{Middle, Pair};
use serde_json::Value;

use crate::middle;
use crate::road::{DIRECT, PORT, Road, service};

/// Runs of a row, a second each.
const RUNS: u32 = 3;
/// Bytes of the page that is fetched again and again.
const LARGE: u64 = 8 << 20;
/// Has wrk write what it has seen as one line of JSON.
const SCRIPT: &str = r#"
function done(summary, latency, requests)
    local e = summary.errors
    local errors = e.connect + e.read + e.write + e.status + e.timeout
    io.write(string.format('{"requests":%d,"bytes":%d,"us":%d,"errors":%d}\n',
        summary.requests, summary.bytes, summary.duration, errors))
end
"#;

/// What wrk does.
struct Work {
    connections: &'static str,
    header: &'static str,
    path: &'static str,
    unit: &'static str,
    /// What one run came to.
    value: fn(&Seen) -> f64,
}

const WORKS: [Work; 2] = [
    Work {
        connections: "32",
        header: "Connection: close",
        path: "/",
        unit: "conn/s",
        value: |seen| seen.requests / seen.seconds,
    },
    Work {
        connections: "8",
        header: "Connection: keep-alive",
        path: "/files/large",
        unit: "MB/s",
        value: |seen| seen.bytes / seen.seconds / 1e6,
    },
];

/// What wrk has seen.
struct Seen {
    requests: f64,
    bytes: f64,
    seconds: f64,
}

/// Measures those rows that have `part` in their name, a run of each in turn: what slows the machine for a while slows all.
pub(crate) fn measure(pairs: &[Pair], part: &str, rows: Sink<'_>) -> Result<()> {
    let lanes = pairs.iter().map(|pair| Lane::new(pair).with_context(|| pair.names.join(", ")));
    let lanes: Vec<_> = lanes.collect::<Result<_>>()?;
    for (place, work) in WORKS.iter().enumerate() {
        let named = lanes.iter().filter_map(|lane| Some((lane, lane.pair.names.get(place)?, Vec::new())));
        let mut wanted: Vec<_> = named.filter(|(_, name, _)| name.contains(part)).collect();
        for _ in 0..RUNS {
            for (lane, name, runs) in &mut wanted {
                runs.push(lane.run(work).with_context(|| name.to_owned())?);
            }
        }
        wanted.into_iter().try_for_each(|(_, name, runs)| rows(row(name, work.unit, runs)?))?;
    }
    Ok(())
}

/// A road with a web server at its end.
struct Lane {
    pair: Pair,
    _process: Option<ChildGuard>,
    _nginx: Nginx,
    road: Road,
}

impl Lane {
    fn new(pair: &Pair) -> Result<Self> {
        let (pair, road) = (pair.clone(), Road::new()?);
        let nginx = Nginx::start(&road.server, PORT)?;
        nginx.add_file("large", LARGE)?;
        middle::lead_back(pair.middle, &road)?;
        Ok(Self { _process: middle::start(pair.middle, &road)?, _nginx: nginx, pair, road })
    }

    /// What one run comes to; nothing may fail, and all has to go through the director where there is one.
    fn run(&self, work: &Work) -> Result<f64> {
        let (middle, road) = (self.pair.middle, &self.road);
        let before = middle::forwarded(middle, road)?;
        let seen = wrk(road, middle, work)?;
        if let (Some(before), Some(after)) = (before, middle::forwarded(middle, road)?) {
            let packets = u32::try_from(after - before)?;
            ensure!(
                f64::from(packets) > seen.requests,
                "the director has forwarded {packets} packets of {} requests",
                seen.requests
            );
        }
        Ok((work.value)(&seen))
    }
}

fn wrk(road: &Road, middle: Middle, work: &Work) -> Result<Seen> {
    let script = road.client.directory().join("done.lua");
    fs::write(&script, SCRIPT).context("cannot write the script")?;
    let address = if middle == Middle::Nothing { SocketAddr::from((DIRECT, PORT)) } else { service() };
    let (url, script) = (format!("http://{address}{}", work.path), script.to_string_lossy());
    let Work { connections, header, .. } = work;
    let output =
        road.client.run(&["wrk", "-t1", "-d1s", "-c", connections, "-H", header, "-s", &script, &url])?;
    let line = output.lines().last().unwrap_or_default();
    let seen: Value = serde_json::from_str(line).with_context(|| format!("wrk wrote {output}"))?;
    let number = |key: &str| seen.get(key).and_then(Value::as_f64).with_context(|| format!("no {key}"));
    let (requests, errors) = (number("requests")?, number("errors")?);
    ensure!(errors == 0.0 && requests > 0.0, "wrk had {errors} errors in {requests} requests");
    Ok(Seen { requests, bytes: number("bytes")?, seconds: number("us")? / 1e6 })
}
