//! The harness itself: a row that is wrong in one thing fails.

use crate::given::V4;
use lb_common::server::Method::Dr;
use lb_common::verdict::Reason::{ForwardedDr, NotAService, NotReady};
use lb_tests::packet::udp;
use lb_tests::program::{Expected, LoadedProgram, passes, sends};

fn syn(expected: &Expected) {
    LoadedProgram::load(&V4.both(Dr)).expect(&V4.syn().build(), expected);
}

fn right() -> Expected {
    sends(ForwardedDr, 1, 1, V4.routed(&V4.syn(), 1))
}

#[test]
fn a_row_that_is_right_holds() {
    syn(&right().opening());
}

#[test]
#[should_panic(expected = "these counters moved")]
fn a_connection_that_is_not_named_fails() {
    syn(&right());
}

#[test]
#[should_panic(expected = "these counters moved")]
fn another_server_fails() {
    syn(&sends(ForwardedDr, 1, 2, V4.routed(&V4.syn(), 1)).opening());
}

#[test]
#[should_panic(expected = "these counters moved")]
fn another_reason_fails() {
    let elsewhere = udp(V4.client, (V4.director, 9).into()).build();
    LoadedProgram::load(&V4.both(Dr)).expect(&elsewhere, &passes(NotReady));
}

#[test]
#[should_panic(expected = "these counters moved")]
fn a_note_that_is_not_made_fails() {
    syn(&right().opening().noting(NotAService));
}

#[test]
#[should_panic(expected = "Tx, wanted Tx")]
fn another_byte_fails() {
    let mut sent = V4.routed(&V4.syn(), 1);
    sent[53] ^= 1;
    syn(&sends(ForwardedDr, 1, 1, sent).opening());
}

#[test]
#[should_panic(expected = "Tx, wanted Redirect")]
fn another_action_fails() {
    syn(&right().opening().redirected());
}
