//! The datapath as the agent uses it: pins, links, tables read back, sweeps. Each test has a network namespace and a
//! BPF file system of its own.

mod attach;
mod connections;
mod counters;
mod decap;
mod full;
mod objects;
mod pins;
mod redirects;
mod resize;
mod tables;
mod upgrade;

use lb_common::address::Address;
use lb_common::counters::Settings;
use lb_common::maps::{SCHEMA_VERSION, SETTING_NAT};
use lb_common::server::{Interface, Method, NextHop, Server, ServerRef, ServerState};
use lb_common::service::{ServiceKey, SlotRange, View};
use lb_common::slots::Slot;
use lb_ctl::agent::reconcile::with_index;
use lb_ctl::datapath::tables::{Kernel, Write};
use lb_ctl::datapath::{Datapath, DatapathError, OpenOptions};
use lb_tests::packet::DIRECTOR_MAC;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{env, fs, process, thread};

/// Runs `test` on a thread with a network namespace of its own, and hands it a fresh BPF file system.
///
/// Both vanish with the thread.
fn isolated(test: impl FnOnce(&Path) + Send) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let directory = env::temp_dir().join(format!("lb-datapath-test-{}-{number}", process::id()));
    fs::create_dir(&directory).unwrap();
    let outcome = thread::scope(|scope| {
        let place = &directory;
        scope
            .spawn(move || {
                unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).unwrap();
                let none: Option<&str> = None;
                mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
                mount(Some("bpf"), place, Some("bpf"), MsFlags::empty(), none).unwrap();
                test(place);
            })
            .join()
    });
    fs::remove_dir(&directory).unwrap();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// Held while a process is made: until it runs its own program it has every descriptor of this one, locks as well.
static FORK: Mutex<()> = Mutex::new(());

/// Waits until no process that is being made holds the lock of pins that were let go.
fn no_fork() -> MutexGuard<'static, ()> {
    FORK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `ip` with these words writes.
fn output_of_ip(words: &str) -> Output {
    // To its end: that it runs its own program is known to its parent before its descriptors are closed.
    let _guard = no_fork();
    Command::new("ip").args(words.split_whitespace()).output().unwrap()
}

/// Runs `ip` with these words.
fn ip(words: &str) {
    let output = output_of_ip(words);
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Opens the datapath with its pins at `lb` below `bpffs`.
fn open(bpffs: &Path) -> Result<Datapath, DatapathError> {
    let _guard = no_fork();
    Datapath::open(&OpenOptions { bpffs: bpffs.join("lb"), debug_log: false })
}

const VIP: [u8; 4] = [192, 0, 2, 10];
const SERVER: [u8; 4] = [10, 0, 0, 11];
const PORT: u16 = 53;

/// A service on UDP port 53 with one server, in the order that the agent keeps.
fn service(method: Method) -> Vec<Write> {
    let settings = Settings {
        schema: SCHEMA_VERSION,
        flags: SETTING_NAT,
        answers_per_second: 1_000,
        ..Settings::default()
    };
    let server = Server {
        next_hop: NextHop { mac: [2, 0, 0, 0, 0, 0x11], device: 1 },
        state: ServerState::Up as u8,
        method: method as u8,
        generation: 7,
        mtu: 1_500,
        address: Address::from_v4(SERVER),
        service: 4,
        host: 9,
        ..Server::default()
    };
    let view = View {
        address: Address::from_v4(VIP),
        slots: SlotRange { first: 1, len: 2 },
        port: PORT.into(),
        protocol: lb_common::flow::UDP,
        ..View::default()
    };
    let key = ServiceKey::new(view.address, view.port, view.protocol);
    let writes = vec![
        Write::Settings(settings),
        Write::Interface(1, Interface { ifindex: 1, mtu: 1_500, mac: DIRECTOR_MAC }),
        Write::NatHost(server.address, Some(9)),
        Write::Server(5, server),
        Write::Slots(1, vec![Slot::settled(ServerRef::new(5, 7)); 2]),
        Write::View(3, view),
        Write::Service(4, 3),
        Write::ServiceKey(key, Some(4)),
    ];
    with_index(writes, &Kernel::default())
}
