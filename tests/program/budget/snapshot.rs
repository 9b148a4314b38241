//! What each function of each program costs, against `programs.snap`: a change is a line for the reviewer.
//!
//! Kernels count and compile differently: the snapshot is of Linux 6.18 on x86-64. On other kernels, and in guests, which
//! have no sources, nothing is compared; the limits of the module above hold there too.

use std::fmt::Write as _;
use std::path::Path;

use nix::sys::utsname::uname;

use super::load::{Cost, cost};
use super::{DECAP, DIRECTOR, REDIRECTS, load};

const SNAPSHOT: &str = include_str!("programs.snap");
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/program/budget/programs.snap");
const RELEASE: &str = "6.18.";
/// With this variable the test writes the snapshot.
const ACCEPT: &str = "LB_ACCEPT";

#[test]
fn the_programs_cost_what_the_snapshot_says() {
    let machine = uname().unwrap();
    let release = machine.release().to_string_lossy().into_owned();
    let known = release.starts_with(RELEASE) && cfg!(target_arch = "x86_64");
    if !known || !Path::new(FILE).exists() {
        println!("not compared on {release}: {FILE} is of {RELEASE}x on x86-64");
        return;
    }
    let now = costs();
    if std::env::var_os(ACCEPT).is_some() {
        std::fs::write(FILE, now).unwrap();
        return;
    }
    assert!(
        now == SNAPSHOT,
        "the programs cost something else now:\n{}\
         hint:  `{ACCEPT}=1 cargo test -p lb-tests --test program snapshot` writes \
         tests/program/budget/programs.snap; commit it with the change",
        differences(SNAPSHOT, &now)
    );
}

fn costs() -> String {
    let mut text = "Linux 6.18, x86-64: bytes of machine code, bytes of stack.\n".to_owned();
    for object in [DIRECTOR, DECAP, REDIRECTS] {
        let loaded = load(object, 0);
        let mut programs: Vec<&str> = loaded.programs().map(|(name, _)| name).collect();
        programs.sort_unstable();
        for program in programs {
            let Cost { verified, functions } = cost(object, program, &loaded);
            let bytes: u32 = functions.iter().map(|function| function.jited).sum();
            write!(text, "\n{program}: {verified} verified instructions, {bytes} bytes\n").unwrap();
            for function in functions {
                writeln!(text, "{:6}  {:3}  {}", function.jited, function.stack, function.name).unwrap();
            }
        }
    }
    text
}

/// The lines that only one of the two has.
fn differences(before: &str, now: &str) -> String {
    let mut text = String::new();
    for (lines, others, sign) in [(before, now, '-'), (now, before, '+')] {
        let others: Vec<&str> = others.lines().collect();
        for line in lines.lines().filter(|line| !others.contains(line)) {
            writeln!(text, "{sign} {line}").unwrap();
        }
    }
    text
}

#[test]
fn a_change_is_shown_by_its_lines_alone() {
    assert_eq!(differences("a\nb 1\nc\n", "a\nb 2\nc\n"), "- b 1\n+ b 2\n");
}
