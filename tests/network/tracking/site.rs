//! The service and its servers, which are no more than addresses: what changes of them, and what the kernel holds.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use lb_common::address::Address;
use lb_common::flow::{FlowKey, Owner};
use lb_common::service::{Pick, View};
use lb_common::slots::SlotState;
use lb_ctl::datapath::{Reader, read_pins};
use lb_tests::lab::ChildGuard;
use lb_tests::lab::site::{DEVICE, Family, Site};
use lb_tests::lab::{Host, wait_until};
use lb_tests::packet::Mac;
use lb_tests::random::Random;

use super::flows::{Dead, Flows, SERVERS};
use super::load::port_of;
use crate::interfaces::start_agent;
use crate::support::{Balanced, PORT};

/// Servers at the beginning. One more makes the table of mh larger.
const FIRST: usize = 12;
/// There are always as many that take new connections.
const LEAST: usize = 5;

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Absent,
    Leaving,
    Up,
    Drained,
    Weighted(u32),
    Down,
}

/// The service, its director and its servers.
pub(super) struct Pool {
    pub(super) balanced: Balanced,
    servers: [Server; SERVERS],
    scheduler: &'static str,
    reader: Reader,
    history: Vec<String>,
    agents: Vec<ChildGuard>,
}

/// The address of a flow's client.
pub(super) fn client_of(flow: usize) -> Ipv4Addr {
    let first = Ipv4Addr::new(10, 64, 0, 0).to_bits();
    Ipv4Addr::from_bits(first + u32::try_from(flow).unwrap_or(0))
}

/// The MAC address of a server.
pub(super) fn server_mac(server: usize) -> Mac {
    [2, 0xbb, 0, 0, 0, u8::try_from(server).unwrap_or(0)]
}

fn name(server: usize) -> String {
    format!("s{server}")
}

impl Pool {
    pub(super) fn new(test: &str) -> Result<Self> {
        let balanced = Balanced::new(Site::one_segment(test, 0)?, &[])?;
        let pins = balanced.site.director.directory().join("bpf");
        let reader = read_pins(&pins)?.context("nothing is pinned")?.reader;
        let mut servers = [Server::Up; SERVERS];
        servers[FIRST..].fill(Server::Absent);
        let pool =
            Self { balanced, servers, scheduler: "mh", reader, history: Vec::new(), agents: Vec::new() };
        (0..SERVERS).try_for_each(|server| pool.answer_arp(server))?;
        pool.apply()?;
        Ok(pool)
    }

    /// The MAC address of a machine's device.
    pub(super) fn mac_of(host: &Host) -> Result<Mac> {
        let shown = host.ip(&format!("-json link show dev {DEVICE}"))?;
        let shown: serde_json::Value = serde_json::from_str(&shown)?;
        let text = shown.pointer("/0/address").and_then(serde_json::Value::as_str).context("no address")?;
        let bytes: Result<Vec<u8>, _> = text.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect();
        bytes?.try_into().map_err(|_| anyhow::anyhow!("{text} is no MAC address"))
    }

    fn address(&self, server: usize) -> String {
        let Ok(std::net::IpAddr::V4(director)) = Ok::<_, ()>(self.balanced.site.director_address(Family::V4))
        else {
            return String::new();
        };
        let [a, b, c, _] = director.octets();
        format!("{a}.{b}.{c}.{}", 200 + server)
    }

    /// Applies a file with all servers but those that leave: their connections stay.
    fn apply(&self) -> Result<()> {
        let file = self.balanced.site.director.directory().join("site.toml");
        let (vip, scheduler) = (self.balanced.site.vip(Family::V4), self.scheduler);
        let mut text = format!(
            "[[service]]\nname = 'web'\nvip = '{vip}'\nport = {PORT}\nprotocol = 'tcp'\n\
             scheduler = '{scheduler}'\ntimeouts = {{ established = '5s', syn = '5s' }}\n[[pool]]\nname = 'web'\n"
        );
        for (server, state) in self.servers.iter().enumerate() {
            let weight = match state {
                Server::Absent | Server::Leaving => continue,
                Server::Weighted(weight) => *weight,
                Server::Up | Server::Drained | Server::Down => 1,
            };
            let (name, address) = (name(server), self.address(server));
            writeln!(text, "[[pool.server]]\nname = '{name}'\naddress = '{address}'\nweight = {weight}")?;
        }
        std::fs::write(&file, text)?;
        self.balanced.lb(&format!("apply --yes {}", file.display()))
    }

    fn answer_arp(&self, server: usize) -> Result<()> {
        let mac = server_mac(server).map(|byte| format!("{byte:02x}")).join(":");
        let address = self.address(server);
        let director = &self.balanced.site.director;
        director.ip(&format!("neigh replace {address} lladdr {mac} nud permanent dev {DEVICE}")).map(drop)
    }

    fn add(&mut self, server: usize) -> Result<()> {
        let (name, address) = (name(server), self.address(server));
        self.servers[server] = Server::Up;
        self.balanced.lb(&format!("server add web {address} --name {name} --method dr"))
    }

    /// Makes one change at random.
    pub(super) fn change(&mut self, random: &mut Random, dead: &Dead) -> Result<()> {
        if random.once_in(10) {
            self.scheduler = ["mh", "sh", "wrr"][random.within(0..3) as usize];
            self.history.push(format!("scheduler {}", self.scheduler));
            return self.balanced.lb(&format!("service set web --scheduler {} --yes", self.scheduler));
        }
        let server = random.within(0..16) as usize;
        let spare = self.servers.iter().filter(|state| **state == Server::Up).count() > LEAST;
        let kind = random.within(0..5);
        self.history.push(format!("s{server} {:?} {kind}", self.servers[server]));
        let named = name(server);
        match self.servers[server] {
            Server::Absent | Server::Leaving => {
                self.answer_arp(server)?;
                self.add(server)?;
                dead.ends(server);
                Ok(())
            }
            Server::Drained => self.become_(server, Server::Up, &format!("server undrain web {named}")),
            Server::Weighted(_) => {
                self.become_(server, Server::Up, &format!("server set web {named} --weight 1"))
            }
            Server::Down => {
                self.servers[server] = Server::Up;
                self.answer_arp(server)?;
                self.wait_for(server, "up")?;
                dead.ends(server);
                Ok(())
            }
            Server::Up if !spare => Ok(()),
            Server::Up if kind == 0 => {
                dead.begins(server);
                self.become_(server, Server::Absent, &format!("server remove web {named} --yes"))
            }
            Server::Up if kind == 1 => {
                self.servers[server] = Server::Leaving;
                self.apply()
            }
            Server::Up if kind == 2 => {
                let weight = random.within(2..6);
                self.become_(
                    server,
                    Server::Weighted(weight),
                    &format!("server set web {named} --weight {weight}"),
                )
            }
            Server::Up if kind == 3 => {
                dead.begins(server);
                self.servers[server] = Server::Down;
                let address = self.address(server);
                self.balanced.site.director.ip(&format!("neigh del {address} dev {DEVICE}"))?;
                self.wait_for(server, "unreachable")
            }
            Server::Up => self.become_(server, Server::Drained, &format!("server drain web {named}")),
        }
    }

    fn become_(&mut self, server: usize, state: Server, command: &str) -> Result<()> {
        self.servers[server] = state;
        self.balanced.lb(command)
    }

    /// Waits until the agent has seen what became of a server.
    fn wait_for(&self, server: usize, state: &str) -> Result<()> {
        let named = name(server);
        let is_so = || {
            let servers = self.balanced.lb_json("server list").ok();
            let all = servers.as_ref().and_then(serde_json::Value::as_array);
            all.into_iter().flatten().any(|it| it["name"] == named.as_str() && it["state"] == state)
        };
        wait_until(Duration::from_secs(20), &format!("{named} to be {state}"), is_so)
    }

    /// Ends the agent as a crash would, and starts another one.
    pub(super) fn kill_and_start_the_agent(&mut self) -> Result<()> {
        self.history.push("kill -9".to_owned());
        self.balanced.kill_agent()?;
        self.agents.push(start_agent(&self.balanced)?);
        Ok(())
    }

    /// The changes that were made, for the report of a failure.
    pub(super) fn history(&self) -> String {
        self.history.join("; ")
    }

    /// The last change: whatever the scheduler is, it is mh from now on.
    pub(super) fn end_with_slots(&self) -> Result<()> {
        self.balanced.lb("service set web --scheduler mh --yes")
    }

    pub(super) fn wait_until_slots_follow(&self) -> Result<()> {
        self.balanced.wait_for_slots("settling")
    }

    /// Flows that the tables hold.
    pub(super) fn remembered(&self) -> Result<usize> {
        let mut count = 0;
        self.reader.for_each_connection(|_, _| count += 1)?;
        self.reader.for_each_half_open(|_, _| count += 1)?;
        Ok(count)
    }

    /// Flows whose slot names another server than theirs.
    pub(super) fn deviating(&self, flows: &Flows) -> Result<usize> {
        let kernel = self.reader.snapshot()?;
        let (id, index) = kernel.services.first_key_value().context("no service")?;
        let view = kernel.views.get(index).context("no view")?;
        let slots = kernel.slots.get(&view.slots.first).context("no slots")?;
        let deviates = |(flow, incarnation, server): (usize, u16, usize)| {
            let key = FlowKey {
                client: Address::from_v4(client_of(flow).octets()),
                client_port: port_of(incarnation).into(),
                port: PORT.into(),
                owner: Owner::service(*id),
            };
            let hash = key.hash(&view.address, view.pick == Pick::Flow as u8);
            let place = View::place(view.slots, hash)? - view.slots.first;
            let named = kernel.servers.get(&slots.get(place as usize)?.current().id())?;
            let own: Ipv4Addr = self.address(server).parse().ok()?;
            Some(named.address != Address::from_v4(own.octets()))
        };
        Ok(flows.owners().into_iter().filter(|owner| deviates(*owner) == Some(true)).count())
    }

    /// What the tables hold, for the report of a failure.
    pub(super) fn described(&self) -> Result<String> {
        let kernel = self.reader.snapshot()?;
        let mut states = BTreeMap::new();
        for slot in kernel.views.values().filter_map(|view| kernel.slots.get(&view.slots.first)).flatten() {
            *states.entry(format!("{:?} {:?} {}", slot.state(), slot.current(), slot.mark())).or_insert(0) +=
                1;
        }
        let mut entries = Vec::new();
        self.reader.for_each_connection(|key, entry| entries.push(format!("{key:?} {entry:?}")))?;
        self.reader.for_each_half_open(|key, entry| entries.push(format!("half open: {key:?} {entry:?}")))?;
        entries.truncate(3);
        let (services, director) =
            (self.balanced.site.director.lb("list")?, self.balanced.site.director.lb("status")?);
        Ok(format!(
            "slots: {states:#?}\nentries: {entries:#?}\n{services}\n{director}\nviews: {:#?}",
            kernel.views
        ))
    }

    /// Whether every slot has settled, and no older table is asked.
    pub(super) fn is_settled(&self) -> Result<bool> {
        let kernel = self.reader.snapshot()?;
        let settled = |view: &View| {
            let slots = kernel.slots.get(&view.slots.first).map_or(&[][..], Vec::as_slice);
            view.is_untracked()
                && view.old_slots.len == 0
                && slots.iter().all(|slot| slot.state() == SlotState::Settled)
        };
        Ok(!kernel.views.is_empty() && kernel.views.values().all(settled))
    }
}
