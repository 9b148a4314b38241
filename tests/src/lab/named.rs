//! A real DNS server (BIND's named) on a machine of the lab.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{ChildGuard, Host, wait_until};

/// The name whose TXT record is the name of the machine that answers.
pub const WHO: &str = "who.lab.test";

const ZONE: &str = "lab.test";

/// A running named; stops when dropped.
#[derive(Debug)]
pub struct Named {
    _child: ChildGuard,
}

impl Named {
    /// Starts one on `port` of every address that the machine has now, UDP and TCP, both families.
    ///
    /// named binds each address by itself: give the machine its VIP first.
    ///
    /// # Errors
    /// named is not installed or refuses to start; the error holds its log.
    pub fn start(host: &Host, port: u16) -> Result<Self> {
        let directory = host.directory().join(format!("named-{port}"));
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        write("named.conf", configuration_text(&directory.to_string_lossy(), port))?;
        write("zone", zone_text(host.name()))?;
        let configuration = directory.join("named.conf");
        let argv = ["named", "-g", "-n", "1", "-U", "1", "-c", &configuration.to_string_lossy()];
        let mut child = host.spawn(&format!("named-{port}"), &argv)?;
        wait_answering(host, port, &mut child)?;
        Ok(Self { _child: child })
    }
}

/// The name of the machine that answers at `server`, asked with `dig` from `client`; `options` such as `+tcp`.
///
/// # Errors
/// No answer, or dig is not installed.
pub fn who_answers(client: &Host, server: &str, port: u16, options: &[&str]) -> Result<String> {
    let (at, port) = (format!("@{server}"), port.to_string());
    let mut argv = vec!["dig", &at, "-p", &port, WHO, "TXT", "+short", "+timeout=2", "+tries=1"];
    argv.extend(options);
    let answer = client.run(&argv)?;
    match answer.trim().strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(name) => Ok(name.to_owned()),
        None => bail!("{server} answered {answer:?} to the question for {WHO}"),
    }
}

fn wait_answering(host: &Host, port: u16, child: &mut ChildGuard) -> Result<()> {
    let what = format!("named of {} to answer", host.name());
    let answered = wait_until(Duration::from_secs(10), &what, || {
        !child.is_running() || who_answers(host, "::1", port, &[]).is_ok_and(|name| name == host.name())
    });
    if !child.is_running() {
        bail!("named on {} ended: {}", host.name(), child.log()?.trim());
    }
    answered
}

fn configuration_text(directory: &str, port: u16) -> String {
    format!(
        r#"options {{
    directory "{directory}";
    pid-file none;
    session-keyfile none;
    managed-keys-directory "{directory}";
    listen-on port {port} {{ any; }};
    listen-on-v6 port {port} {{ any; }};
    recursion no;
    notify no;
    dnssec-validation no;
    allow-query {{ any; }};
}};
controls {{ }};
zone "{ZONE}" {{ type master; file "zone"; }};
"#
    )
}

/// `big` holds more than fits one Ethernet frame, for answers over TCP and in fragments.
fn zone_text(name: &str) -> String {
    let filler = "x".repeat(250);
    let big: Vec<_> = (0..12).map(|number| format!("big IN TXT \"{number} {filler}\"\n")).collect();
    let big = big.concat();
    format!(
        "$TTL 1\n@ IN SOA ns hostmaster 1 60 60 60 1\n@ IN NS ns\nns IN A 127.0.0.1\nwho IN TXT \"{name}\"\n{big}"
    )
}
