//! Live frames: the CPU time of a packet with its generator and both ends, and how many that makes a second.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lb_tests::lab::{ChildGuard, interrupted, wait_until};
use lb_tests::measure::{Sink, row};
use lb_tests::packet::{ACK, PacketBuilder, SYN, tcp};
use lb_tests::rows::{Middle, Pair};

use crate::generator::Generator;
use crate::middle;
use crate::road::{CLIENT, Road, service};

/// Rounds of a row, and one before them that warms up.
const ROUNDS: u32 = 5;
/// Frames of a round.
const FRAMES: u32 = 1 << 20;
const FLOWS: u32 = 1 << 16;
/// Flows that are opened at once: the table of first packets holds them.
const OPENED: u32 = 1 << 12;
/// One frame of so many may get lost where a queue is full.
const MOST_LOST: u64 = 1_000;
/// Bytes of a frame, without its check sequence: the generator wants as many.
const LENGTH: usize = 80;

/// Measures pairs of rows, one after the other: the programs by which a director counts failed redirects see the frames of
/// all machines.
pub(crate) fn measure(object: &Path, pairs: &[Pair], rows: Sink<'_>) -> Result<()> {
    pairs.iter().try_for_each(|pair| one(object, pair, rows).with_context(|| pair.names.join(", ")))
}

fn one(object: &Path, pair: &Pair, rows: Sink<'_>) -> Result<()> {
    let mut lane = Lane::new(object, pair)?;
    (0..=ROUNDS).try_for_each(|_| lane.round())?;
    lane.report(rows)
}

/// A road with frames on it.
struct Lane {
    pair: Pair,
    generator: Generator,
    frame: Vec<u8>,
    /// What the director had counted before the first round.
    before: Option<u64>,
    /// Seconds a frame.
    rounds: Vec<f64>,
    _process: Option<ChildGuard>,
    road: Road,
}

impl Lane {
    fn new(object: &Path, pair: &Pair) -> Result<Self> {
        let (pair, road) = (pair.clone(), Road::new()?);
        let process = middle::start(pair.middle, &road)?;
        let mut generator = Generator::load(object, &road)?;
        let end = if pair.middle == Middle::Drop { &road.front } else { &road.far };
        generator.attach("arrive", end)?;
        if pair.middle == Middle::Redirect {
            generator.attach("send_on", &road.front)?;
        }
        if middle::method(pair.middle).is_some() {
            open(&mut generator, &road)?;
        }
        let before = middle::forwarded(pair.middle, &road)?;
        let (frame, rounds) = (frame(&road, ACK), Vec::new());
        Ok(Self { pair, generator, frame, before, rounds, _process: process, road })
    }

    fn round(&mut self) -> Result<()> {
        let arrived = self.generator.arrived()?;
        let took = self.generator.run(&self.frame, (0, FLOWS), FRAMES)?;
        self.rounds.push(took.as_secs_f64() / settle(&self.generator, arrived)?);
        Ok(())
    }

    fn report(&self, rows: Sink<'_>) -> Result<()> {
        if let (Some(before), Some(after)) = (self.before, middle::forwarded(self.pair.middle, &self.road)?) {
            near(after - before, u64::from(FRAMES) * u64::from(ROUNDS + 1), "the director forwarded")?;
        }
        let (rounds, [rate, time]) = (self.rounds.get(1..).unwrap_or_default(), &self.pair.names);
        rows(row(rate, "pps", rounds.iter().map(|round| 1.0 / round).collect())?)?;
        rows(row(time, "cpu-ns", rounds.iter().map(|round| round * 1e9).collect())?)
    }
}

/// Opens the flows: the director forwards no others.
fn open(generator: &mut Generator, road: &Road) -> Result<()> {
    for first in (0..FLOWS).step_by(OPENED as usize) {
        for flags in [SYN, ACK] {
            generator.run(&frame(road, flags), (first, FLOWS), OPENED)?;
        }
    }
    Ok(())
}

/// Waits for the frames of a round that are still on their way; gives how many arrived, if they are not too few.
fn settle(generator: &Generator, before: u64) -> Result<f64> {
    let came = || generator.arrived().map(|now| now - before);
    let all = || came().is_ok_and(|came| came >= u64::from(FRAMES));
    let waited = wait_until(Duration::from_secs(1), "the frames", all);
    if interrupted() {
        waited?;
    }
    let came = came()?;
    near(came, u64::from(FRAMES), "arrived")?;
    Ok(f64::from(u32::try_from(came)?))
}

fn near(count: u64, sent: u64, what: &str) -> Result<()> {
    ensure!(count <= sent && count >= sent - sent / MOST_LOST, "{what}: {count} of {sent} frames");
    Ok(())
}

fn frame(road: &Road, flags: u8) -> Vec<u8> {
    let packet: PacketBuilder = tcp((CLIENT, 0x400).into(), service()).flags(flags);
    packet.macs(road.near.mac, road.front.mac).payload_len(LENGTH - 54).build()
}
