//! Services without tracking: which server a packet gets by the state of its slot, and what is remembered.

use crate::given::{V4, returned};
use lb_common::scheduler::Scheduler::Sh;
use lb_common::server::Method::{Dr, Nat};
use lb_common::server::{ServerRef, ServerState};
use lb_common::service::{FLAG_KEEP_ON_DOWN, FLAG_UNTRACKED, Pick, SlotRange, View};
use lb_common::slots::Slot;
use lb_common::slots::SlotState::{self, Lingering, Moving, Settled, Tracked};
use lb_common::verdict::Reason::{ForwardedDr, NoConnection, NotRemembered, ServerDown, ServerRemoved};
use lb_ctl::datapath::tables::Write;
use lb_tests::packet::{ACK, FIN, PacketBuilder, RST, tcp};
use lb_tests::program::{Expected, GENERATION, LoadedProgram, World, answers, sends};

/// The number of slots of the service, which are all the same.
const SLOTS: u32 = 256;
/// Where they begin.
const FIRST: u32 = 1;

/// A name, what is in the tables, a packet, the server that it gets, and the servers in `CONNECTIONS` and `HALF_OPEN` then.
type Row<T> = (&'static str, T, PacketBuilder, u32, &'static [u32], &'static [u32]);

fn slot(current: u32, previous: u32, state: SlotState) -> Slot {
    let reference = |id| if id == 0 { ServerRef::NONE } else { ServerRef::new(id, GENERATION) };
    Slot::new(reference(current), reference(previous), state, 0)
}

/// Three dr servers; `slot` is the slot of every flow.
fn program(slot: Slot) -> LoadedProgram {
    with_flags(slot, FLAG_UNTRACKED)
}

fn with_flags(slot: Slot, flags: u8) -> LoadedProgram {
    let service = V4.three().scheduler(Sh).flags(flags);
    let mut program = LoadedProgram::load(&World::new([service]));
    fill(&mut program, slot);
    program
}

fn fill(program: &mut LoadedProgram, slot: Slot) {
    program.apply(&[Write::Change((FIRST..=SLOTS).map(|index| (index, slot)).collect())]);
}

/// `packet` goes to server `n`; nothing counts it as a connection.
fn on(packet: &PacketBuilder, n: u32) -> Expected {
    sends(ForwardedDr, 1, n, V4.routed(packet, n as usize))
}

fn reset() -> Vec<u8> {
    returned(tcp(V4.vip, V4.client).flags(RST).sequence(5001).window(0).dont_fragment().id(0))
}

/// Servers of the entries in `CONNECTIONS` and in `HALF_OPEN`.
fn remembered(program: &LoadedProgram) -> (Vec<u32>, Vec<u32>) {
    let (mut connections, mut half_open) = (Vec::new(), Vec::new());
    let datapath = program.datapath();
    datapath.for_each_connection(|_, entry| connections.push(entry.server.id())).unwrap();
    datapath.for_each_half_open(|_, entry| half_open.push(entry.server.id())).unwrap();
    (connections, half_open)
}

#[test]
fn an_unknown_packet_gets_its_server_by_the_state_of_its_slot() {
    let rows: [Row<Slot>; 9] = [
        ("settled, SYN", slot(1, 0, Settled), V4.syn(), 1, &[], &[]),
        ("settled, other", slot(1, 0, Settled), V4.ack(), 1, &[], &[]),
        ("moving, SYN", slot(1, 2, Moving), V4.syn(), 1, &[], &[1]),
        ("moving, other", slot(1, 2, Moving), V4.ack(), 2, &[2], &[]),
        ("moving, SYN with ACK", slot(1, 2, Moving), V4.flagged(ACK | 2), 2, &[2], &[]),
        ("moving from nothing, other", slot(1, 0, Moving), V4.ack(), 1, &[], &[]),
        ("moving from a server that is not there, other", slot(1, 9, Moving), V4.ack(), 1, &[], &[]),
        ("lingering, SYN", slot(1, 0, Lingering), V4.syn(), 1, &[], &[]),
        ("lingering, other", slot(1, 0, Lingering), V4.ack(), 1, &[], &[]),
    ];
    for (name, slot, packet, server, connections, half_open) in rows {
        println!("{name}");
        let mut program = program(slot);
        program.expect(&packet.build(), &on(&packet, server));
        assert_eq!(remembered(&program), (connections.to_vec(), half_open.to_vec()), "{name}");
    }
}

#[test]
fn the_server_before_is_asked_while_it_may_keep_its_connections() {
    let rows = [
        (ServerState::Up, 0, 2),
        (ServerState::NoNew, 0, 2),
        (ServerState::Down, 0, 1),
        (ServerState::Down, FLAG_KEEP_ON_DOWN, 2),
        (ServerState::Gone, FLAG_KEEP_ON_DOWN, 1),
    ];
    for (state, flags, server) in rows {
        println!("{state:?} {flags}");
        let mut program = with_flags(slot(1, 2, Moving), FLAG_UNTRACKED | flags);
        program.apply(&[Write::ServerState(2, state)]);
        program.expect(&V4.ack().build(), &on(&V4.ack(), server));
    }
}

#[test]
fn a_known_flow_stays_where_the_table_says_until_nobody_looks() {
    let mut program = program(slot(1, 2, Moving));
    program.expect(&V4.ack().build(), &on(&V4.ack(), 2));
    fill(&mut program, slot(3, 2, Moving));
    program.expect(&V4.ack().build(), &on(&V4.ack(), 2));
    fill(&mut program, slot(3, 0, Lingering));
    for packet in [V4.ack(), V4.syn(), V4.flagged(FIN | ACK), V4.ack()] {
        program.expect(&packet.build(), &on(&packet, 2));
    }
    fill(&mut program, slot(3, 0, Settled));
    program.expect(&V4.ack().build(), &on(&V4.ack(), 3));
}

#[test]
fn a_flow_that_was_opened_while_its_slot_moved_is_found_after_it() {
    let mut program = program(slot(1, 2, Moving));
    program.expect(&V4.syn().build(), &on(&V4.syn(), 1));
    fill(&mut program, slot(3, 2, Moving));
    program.expect(&V4.ack().build(), &on(&V4.ack(), 1));
    assert_eq!(remembered(&program), (vec![1], vec![]));
}

#[test]
fn a_syn_on_a_closing_connection_is_given_the_slots_server() {
    let mut program = program(slot(1, 2, Moving));
    program.expect(&V4.ack().build(), &on(&V4.ack(), 2));
    fill(&mut program, slot(1, 0, Lingering));
    program.expect(&V4.flagged(FIN | ACK).build(), &on(&V4.flagged(FIN | ACK), 2));
    program.expect(&V4.syn().build(), &on(&V4.syn(), 1));
    program.expect(&V4.ack().build(), &on(&V4.ack(), 1));
    assert_eq!(remembered(&program), (vec![1], vec![]));
}

#[test]
fn a_syn_on_a_connection_whose_server_takes_no_new_ones_is_given_the_slots_server() {
    let mut program = program(slot(1, 2, Moving));
    program.expect(&V4.ack().build(), &on(&V4.ack(), 2));
    program.apply(&[Write::ServerState(2, ServerState::NoNew)]);
    program.expect(&V4.ack().build(), &on(&V4.ack(), 2));
    program.expect(&V4.syn().build(), &on(&V4.syn(), 1));
    program.expect(&V4.ack().build(), &on(&V4.ack(), 1));
}

/// Half of the slots name server 1, which takes no new flows: a flow finds another one by another hash.
#[test]
fn a_new_flow_whose_server_takes_none_gets_another_one_and_is_remembered() {
    for state in [ServerState::NoNew, ServerState::Down, ServerState::Gone] {
        println!("{state:?}");
        let mut program = program(slot(1, 0, Settled));
        let odd = (FIRST..=SLOTS).filter(|index| index % 2 == 1);
        program.apply(&[Write::Change(odd.map(|index| (index, slot(2, 0, Settled))).collect())]);
        let packet = (1..=50).find_map(|last| {
            let client = format!("198.51.100.{last}:40000").parse().unwrap();
            let packet = tcp(client, V4.vip);
            let (_, sent) = program.run(&packet.build());
            (sent == V4.routed(&packet, 1)).then_some((client, packet))
        });
        let (client, syn) = packet.expect("some client has server 1");
        program.apply(&[Write::ServerState(1, state)]);
        program.expect(&syn.build(), &on(&syn, 2));
        assert_eq!(remembered(&program), (vec![], vec![2]));
        let ack = tcp(client, V4.vip).flags(ACK).sequence(1001).acknowledgement(5001);
        program.expect(&ack.build(), &on(&ack, 2));
        assert_eq!(remembered(&program), (vec![2], vec![]));
    }
}

#[test]
fn an_open_connection_meets_the_state_of_its_slots_server() {
    let rows = [
        (ServerState::NoNew, 0, on(&V4.ack(), 1)),
        (ServerState::Down, 0, answers(ServerDown, reset())),
        (ServerState::Down, FLAG_KEEP_ON_DOWN, on(&V4.ack(), 1)),
        (ServerState::Gone, FLAG_KEEP_ON_DOWN, answers(ServerRemoved, reset())),
    ];
    for (state, flags, expected) in rows {
        for slot in [slot(1, 0, Settled), slot(1, 0, Lingering)] {
            println!("{state:?} {flags} {slot:?}");
            let mut program = with_flags(slot, FLAG_UNTRACKED | flags);
            program.apply(&[Write::ServerState(1, state)]);
            program.expect(&V4.ack().build(), &expected);
            assert_eq!(remembered(&program), (vec![], vec![]));
        }
    }
}

/// The view names an older table: 16 slots, all of server 2, found by the whole flow.
fn with_old_slots(slot: Slot, old: Slot, flags: u8) -> LoadedProgram {
    const OLD: SlotRange = SlotRange { first: 1_000, len: 16 };
    let mut program = with_flags(slot, flags);
    let kernel = program.datapath().snapshot().unwrap();
    let (_, view) = kernel.views.into_iter().next().unwrap();
    let view = View { old_slots: OLD, old_pick: Pick::Flow as u8, ..view };
    let old = vec![old; OLD.len as usize];
    program.apply(&[Write::Slots(OLD.first, old), Write::View(7, view), Write::Service(1, 7)]);
    program
}

#[test]
fn an_older_table_tells_the_server_of_open_connections() {
    let moving = slot(1, 0, Moving);
    let rows: [Row<(Slot, Slot)>; 6] = [
        ("other", (moving, slot(2, 0, Settled)), V4.ack(), 2, &[2], &[]),
        ("SYN", (moving, slot(2, 0, Settled)), V4.syn(), 1, &[], &[1]),
        ("it lingered", (moving, slot(2, 0, Lingering)), V4.ack(), 2, &[2], &[]),
        ("it moved", (moving, slot(2, 3, Moving)), V4.ack(), 3, &[3], &[]),
        ("its flows are known", (moving, slot(2, 0, Tracked)), V4.ack(), 1, &[], &[]),
        ("no flow of it is left", (slot(1, 0, Lingering), slot(2, 0, Settled)), V4.ack(), 1, &[], &[]),
    ];
    for (name, (slot, old), packet, server, connections, half_open) in rows {
        println!("{name}");
        let mut program = with_old_slots(slot, old, FLAG_UNTRACKED);
        program.expect(&packet.build(), &on(&packet, server));
        assert_eq!(remembered(&program), (connections.to_vec(), half_open.to_vec()), "{name}");
    }
}

#[test]
fn a_tracked_service_finds_what_it_did_not_track_before() {
    let mut program = with_old_slots(slot(1, 0, Settled), slot(2, 0, Settled), 0);
    program.expect(&V4.ack().build(), &on(&V4.ack(), 2));
    assert_eq!(remembered(&program), (vec![2], vec![]));
    let mut program = with_old_slots(slot(1, 0, Settled), slot(2, 0, Tracked), 0);
    program.expect(&V4.ack().build(), &answers(NoConnection, reset()));
    let mut program = with_old_slots(slot(1, 0, Settled), slot(2, 0, Settled), 0);
    program.expect(&V4.syn().build(), &on(&V4.syn(), 1).opening());
}

#[test]
fn a_slot_of_a_nat_server_is_tracked() {
    let servers = [V4.server(1, Nat), V4.server(2, Dr)];
    let service = V4.tcp(servers).scheduler(Sh).flags(FLAG_UNTRACKED);
    let mut program = LoadedProgram::load(&World::new([service]));
    fill(&mut program, slot(1, 0, Tracked));
    program.expect(&V4.ack().build(), &answers(NoConnection, reset()));
    let (action, _) = program.run(&V4.syn().build());
    assert_eq!(format!("{action:?}"), "Tx");
    assert_eq!(remembered(&program), (vec![], vec![1, 1]));
    assert_eq!(program.counters().services[&1].connections, 1);
    program.run(&V4.ack().build());
    assert_eq!(remembered(&program), (vec![1, 1], vec![]));
    fill(&mut program, slot(2, 0, Lingering));
    assert_eq!(program.run(&V4.ack().build()).1, program.run(&V4.ack().build()).1);
    assert_eq!(program.counters().servers[&1].in_packets, 4);
}

#[test]
fn an_unknown_datagram_takes_the_slots_server_at_once() {
    for state in [Settled, Lingering] {
        let service = V4.udp([1, 2].map(|n| V4.server(n, Dr))).scheduler(Sh).flags(FLAG_UNTRACKED);
        let mut program = LoadedProgram::load(&World::new([service]));
        for server in [1, 2, 1] {
            fill(&mut program, slot(server, 0, state));
            program.expect(&V4.datagram().build(), &on(&V4.datagram(), server));
            assert_eq!(remembered(&program), (vec![], vec![]));
        }
    }
}

#[test]
fn a_full_table_forwards_and_says_so() {
    const ROOM: u32 = 4_096;
    let mut program = program(slot(1, 2, Moving));
    let of = |number: u32| {
        let (high, low) = (number >> 8, number & 0xff);
        let client = format!("198.18.{high}.{low}:40000").parse().unwrap();
        tcp(client, V4.vip).flags(ACK).sequence(1001).acknowledgement(5001)
    };
    for number in 0..ROOM + 100 {
        program.run(&of(number).build());
    }
    assert!(remembered(&program).0.len() > ROOM as usize * 9 / 10, "the table is not full");
    let one_more = of(ROOM + 100);
    program.expect(&one_more.build(), &on(&one_more, 2).noting(NotRemembered));
}
