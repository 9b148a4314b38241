//! A client in a tight loop: each packet opens a flow, and goes to a server that was there before or after the change.

use super::model::{self, History, Site};
use lb_ctl::datapath::Runner;
use lb_tests::packet::describe;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Looks until it is over; gives the number of packets, or what was wrong with the last one.
pub(super) fn look(
    number: u32,
    runner: &Runner,
    (site, history, over): (&Site, &History, &AtomicBool),
) -> Result<u64, String> {
    let mut looked = 0;
    for client in 0.. {
        for service in 0..site.services() {
            if over.load(Relaxed) {
                return Ok(looked);
            }
            let frame = Site::packet(service, number << 24 | client).build();
            let from = history.ended();
            let (action, sent) = runner.test_run(&frame).map_err(|error| error.to_string())?;
            let to = history.begun();
            let server = model::server_of(action, &sent);
            if !server.is_some_and(|server| history.was_there(server, from, to)) {
                let sent = describe(&sent);
                return Err(format!(
                    "between change {from} and {to} of service {service}: action {action}, server {server:?}\n{sent}"
                ));
            }
            looked += 1;
        }
    }
    Ok(looked)
}
