//! A release agent that forwards for a segment: it starts as an operator starts it, and ends with its lab.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use lb_ctl::api::client::Client;
use lb_ctl::api::{Change, ChangeRequest, Terms};
use lb_tests::lab;
use lb_tests::lab::site::{DEVICE, Site};
use tokio::runtime::{Builder, Runtime};

/// Servers of a pool: addresses of one machine on the director's segment.
pub(crate) const SERVERS: u8 = 100;
/// Their addresses have these numbers and those that follow.
const FIRST: u8 = 101;

/// The agent, and what speaks to it.
pub(crate) struct Agent {
    site: Site,
    runtime: Runtime,
    client: Client,
    pid: u32,
}

impl Agent {
    /// Makes the lab, attaches, and waits until that is so.
    pub(crate) fn start() -> Result<Self> {
        let binary = lab::lb_ctl::binary()?;
        ensure!(
            binary.ancestors().any(|directory| directory.ends_with("release")),
            "{} is no release build",
            binary.display()
        );
        let site = Site::one_segment("bench", 1)?;
        let machine = &site.servers.first().context("no server")?.host;
        for number in 0..SERVERS {
            machine.ip(&format!("address add {}/24 dev {DEVICE}", address(number)))?;
        }
        site.director.lb(&format!("attach {DEVICE}"))?;
        let client = Client::new(site.director.directory().join("agent.sock"));
        let runtime = Builder::new_current_thread().enable_all().build().context("cannot make a runtime")?;
        let pid = runtime.block_on(client.agent_pid()).context("the agent does not say who it is")?;
        Ok(Self { site, runtime, client, pid })
    }

    /// Runs `lb-ctl` with the words of `line` on the director.
    pub(crate) fn lb(&self, line: &str) -> Result<()> {
        self.site.director.lb(line).map(drop)
    }

    /// Asks for a change, without a process of its own for it.
    pub(crate) fn change(&self, change: Change) -> Result<()> {
        let terms = Terms { confirmed: true, ..Terms::default() };
        let changed = self.runtime.block_on(self.client.change(&ChangeRequest { terms, change }));
        changed.map(drop).map_err(|failure| anyhow::anyhow!("{failure:?}"))
    }

    /// Writes a file of the director; gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<String> {
        let path = self.site.director.directory().join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// Where its BPF file system is.
    pub(crate) fn bpffs(&self) -> PathBuf {
        self.site.director.directory().join("bpf")
    }

    /// Megabytes of its memory that are resident.
    pub(crate) fn resident(&self) -> Result<f64> {
        let path = format!("/proc/{}/status", self.pid);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
        Ok(kilobytes.with_context(|| format!("no VmRSS in {path}"))? / 1_024.0)
    }
}

/// The address of server `number`.
pub(crate) fn address(number: u8) -> String {
    format!("10.0.0.{}", FIRST + number)
}

/// A pool of the file: servers of weight 1, by direct routing.
pub(crate) fn pool(name: &str) -> String {
    let server = |number| format!("{{ name = \"s{number}\", address = \"{}\" }}", address(number));
    let servers: Vec<String> = (0..SERVERS).map(server).collect();
    format!("[[pool]]\nname = \"{name}\"\nserver = [ {} ]\n", servers.join(", "))
}

/// A service of the file, with the pool of its name.
pub(crate) fn service(name: &str, port: u16, scheduler: &str) -> String {
    format!(
        "[[service]]\nname = \"{name}\"\nvip = \"10.0.0.10\"\nport = {port}\nprotocol = \"tcp\"\n\
         scheduler = \"{scheduler}\"\npools = [\"{name}\"]\n"
    )
}
