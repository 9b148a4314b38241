//! Packets that a change of their service overtakes: the program has read the old view, and all its servers are gone
//! before one is chosen.

use crate::given::V4;
use lb_common::server::Method::{self, Dr, Ipip, Nat};
use lb_common::server::ServerState;
use lb_ctl::datapath::Runner;
use lb_ctl::datapath::tables::Write;
use lb_tests::packet::udp;
use lb_tests::program::{LoadedProgram, World, mac_of};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::thread;

/// Packets that have to meet a change. Of a program that does not look again, one in a thousand is lost.
const MET: u32 = 20_000;
/// Most packets that are sent for it.
const PACKETS: u32 = 4_000_000;

/// How far the changes are: a packet meets those that begin before its end and have not ended before it comes.
#[derive(Default)]
struct Progress {
    begun: AtomicU32,
    ended: AtomicU32,
    over: AtomicBool,
}

/// The views of the service that have server 1 or server 2 alone.
const VIEWS: [u32; 2] = [3, 2];

fn load(method: Method) -> LoadedProgram {
    let servers = [1, 2].map(|n| V4.server(n, method));
    let mut program = LoadedProgram::load(&World::new([V4.udp(servers)]));
    program.reschedule(1, &[0, 1]);
    program.reschedule(1, &[1, 0]);
    program
}

/// Gives the service of one server another one, again and again.
fn replace(program: &mut LoadedProgram, progress: &Progress) {
    for (change, [old, new]) in (1..).zip([[1, 2], [2, 1]].into_iter().cycle()) {
        if progress.over.load(SeqCst) {
            break;
        }
        progress.begun.store(change, SeqCst);
        program.apply(&[
            Write::ServerState(new, ServerState::Up),
            Write::Service(1, VIEWS[new as usize - 1]),
            Write::ServerState(old, ServerState::Gone),
        ]);
        progress.ended.store(change, SeqCst);
        // About as long as a packet takes: most meet one change or none.
        (0..change % 64 * 10).for_each(|_| std::hint::spin_loop());
    }
}

fn first_packet(client: u32) -> Vec<u8> {
    let port = u16::try_from(10_000 + client % 50_000).unwrap();
    let from = SocketAddr::new(Ipv4Addr::from_bits(0xc612_0000 + client / 50_000).into(), port);
    udp(from, V4.vip).payload(b"question").build()
}

/// Sends packets, each of a new flow, until enough of them met one change; gives what became of the first that got no
/// server although it met no more.
fn look(runner: &Runner, progress: &Progress) -> Result<Option<Vec<u8>>, String> {
    let mut met = 0;
    for client in 0..PACKETS {
        let frame = first_packet(client);
        let ended = progress.ended.load(SeqCst);
        let (_, sent) = runner.test_run(&frame).map_err(|error| error.to_string())?;
        let changes = progress.begun.load(SeqCst) - ended;
        let to_server = V4.servers.iter().any(|server| sent.starts_with(&mac_of(*server)));
        if changes <= 1 && !to_server {
            return Ok(Some(sent));
        }
        met += u32::from(changes == 1);
        if met == MET {
            break;
        }
    }
    if met == MET { Ok(None) } else { Err(format!("only {met} of {PACKETS} packets met a change")) }
}

fn every_packet_gets_a_server(method: Method) {
    let (progress, (to, from)) = (&Progress::default(), channel());
    let looked = thread::scope(|scope| {
        scope.spawn(move || {
            let mut program = load(method);
            to.send(program.datapath().runner().unwrap()).unwrap();
            replace(&mut program, progress);
        });
        let looked = from.recv().map_err(|error| error.to_string()).and_then(|it| look(&it, progress));
        progress.over.store(true, SeqCst);
        looked
    });
    assert_eq!(looked, Ok(None));
}

#[test]
fn a_packet_of_a_dr_service_gets_a_server_whatever_is_replaced() {
    every_packet_gets_a_server(Dr);
}

#[test]
fn a_packet_of_a_nat_service_gets_a_server_whatever_is_replaced() {
    every_packet_gets_a_server(Nat);
}

#[test]
fn a_packet_of_an_ipip_service_gets_a_server_whatever_is_replaced() {
    every_packet_gets_a_server(Ipip);
}
