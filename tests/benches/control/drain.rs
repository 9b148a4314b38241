//! A server that is drained: from the call until its state byte and its slots have changed in the kernel.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::{Array, Map, MapData};
use lb_common::address::Address;
use lb_common::server::{Server, ServerRef, ServerState};
use lb_common::slots::Slot;
use lb_ctl::api::Change;
use lb_ctl::datapath::{Reader, read_pins};
use lb_tests::lab::interrupted;
use lb_tests::measure::{self, Sink};
use zerocopy::transmute;

use crate::agent::{Agent, address, pool, service};

/// Its rows.
pub(crate) const ROWS: [&str; 2] = ["server-drain-state", "server-drain-slots"];

const ROUNDS: usize = 15;
const DEADLINE: Duration = Duration::from_secs(10);
const NAME: &str = "web";

/// Drains and undrains one of 100 servers of an `mh` service.
pub(crate) fn rows(agent: &Agent, rows: Sink<'_>) -> Result<()> {
    let file = agent.file("one.toml", &format!("{}{}", service(NAME, 80, "mh"), pool(NAME)))?;
    agent.lb(&format!("apply {file} --yes"))?;
    let (mut state, mut slots) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (of_state, of_slots) = drain(agent)?;
        state.push(of_state.as_secs_f64() * 1e3);
        slots.push(of_slots.as_secs_f64() * 1e3);
        let (pool, server) = (NAME.to_owned(), "s0".to_owned());
        agent.change(Change::ServerUndrain { pool, server })?;
    }
    for (name, rounds) in ROWS.into_iter().zip([state, slots]) {
        rows(measure::row(name, "ms", rounds)?)?;
    }
    Ok(())
}

/// How long it takes until the state byte and the slots have followed a drain.
fn drain(agent: &Agent) -> Result<(Duration, Duration)> {
    let reader = read_pins(&agent.bpffs())?.context("nothing is pinned")?.reader;
    let place = Place::of(&reader)?;
    let watch = Watch::open(agent)?;
    let ready = Barrier::new(2);
    let (began, seen) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            ready.wait();
            watch.follow(&place)
        });
        ready.wait();
        let began = Instant::now();
        let (pool, server) = (NAME.to_owned(), "s0".to_owned());
        let drained = agent.change(Change::ServerDrain { pool, server });
        let seen = watching.join().unwrap_or_else(|_| bail!("the watch failed"));
        drained.and(seen).map(|seen| (began, seen))
    })?;
    ensure!(Place::of(&reader).is_err(), "a slot still names the server");
    Ok((seen.0.saturating_duration_since(began), seen.1.saturating_duration_since(began)))
}

/// Where the tables name the server.
struct Place {
    server: u32,
    service: u32,
    view: u64,
    /// One of its slots.
    slot: u32,
    reference: ServerRef,
}

impl Place {
    /// Where they name server 0 of the only service.
    fn of(reader: &Reader) -> Result<Self> {
        let tables = reader.snapshot()?;
        let address: std::net::IpAddr = address(0).parse()?;
        let ours = |server: &Server| {
            server.address == Address::from(address) && server.state != ServerState::Gone as u8
        };
        let (&id, server) =
            tables.servers.iter().find(|(_, server)| ours(server)).context("there is no such server")?;
        let reference = ServerRef::new(id, server.generation);
        let (&service, &view) = tables.services.first_key_value().context("there is no service")?;
        let range = tables.views.get(&view).context("the service has no view")?.slots;
        let slots = tables.slots.get(&range.first).context("the view has no slots")?;
        let (slot, _) = (range.first..)
            .zip(slots)
            .find(|(_, slot)| slot.current() == reference)
            .context("no slot names the server")?;
        Ok(Self { server: id, service, view: view.into(), slot, reference })
    }
}

/// The tables that change, opened by their pins.
struct Watch {
    servers: Array<MapData, [u8; 64]>,
    services: Array<MapData, u64>,
    slots: Array<MapData, u64>,
}

impl Watch {
    fn open(agent: &Agent) -> Result<Self> {
        let map = |name: &str| -> Result<Map> {
            let path = agent.bpffs().join("maps").join(name);
            Ok(Map::Array(
                MapData::from_pin(&path).with_context(|| format!("cannot open {}", path.display()))?,
            ))
        };
        Ok(Self {
            servers: map("SERVERS")?.try_into()?,
            services: map("SERVICES")?.try_into()?,
            slots: map("SLOTS")?.try_into()?,
        })
    }

    /// When the state byte had changed, and when the slot had: itself, or because the service has another view. A slot that lingers from now on names the same server.
    fn follow(&self, place: &Place) -> Result<(Instant, Instant)> {
        let state = until(|| {
            let server: Server = transmute!(self.servers.get(&place.server, 0)?);
            Ok(server.state != ServerState::Up as u8)
        })?;
        let slots = until(|| {
            Ok(self.services.get(&place.service, 0)? != place.view
                || Slot(self.slots.get(&place.slot, 0)?).current() != place.reference)
        })?;
        Ok((state, slots))
    }
}

/// When `changed` was first so: looked at without a pause, as what is waited for takes microseconds.
fn until(mut changed: impl FnMut() -> Result<bool>) -> Result<Instant> {
    let began = Instant::now();
    loop {
        if changed()? {
            return Ok(Instant::now());
        }
        ensure!(began.elapsed() < DEADLINE && !interrupted(), "nothing changed within {DEADLINE:?}");
    }
}
