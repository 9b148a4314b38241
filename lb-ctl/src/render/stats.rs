//! Counters and rates, in the columns of `ipvsadm -L --stats` and `--rate`; sampled decisions.

use super::style;
use super::table::{Cell, Table, known, number, text};
use crate::api::{Sample, ServerTraffic, Stats};

/// Counters since the program was loaded.
pub fn totals(stats: &Stats) -> String {
    let headings = ["Conns", "InPkts", "OutPkts", "InBytes", "OutBytes"];
    tables(stats, headings, ["Packets", "Bytes"])
}

/// The same structure, with what happened in a second.
pub fn rates(rates: &Stats) -> String {
    let headings = ["CPS", "InPPS", "OutPPS", "InBPS", "OutBPS"];
    tables(rates, headings, ["PPS", "BPS"])
}

fn tables(
    stats: &Stats,
    [conns, in_packets, out_packets, in_bytes, out_bytes]: [&str; 5],
    of_reason: [&str; 2],
) -> String {
    let mut traffic = Table::new(["Service", "Server", conns, in_packets, out_packets, in_bytes, out_bytes]);
    for service in &stats.services {
        let counts = [service.in_packets, service.out_packets, service.in_bytes, service.out_bytes];
        let name = text(&service.service).styled(style::HEADING);
        traffic.row(cells([name, text(""), known(service.connections)], counts));
        for server in stats.servers.iter().filter(|server| server.service == service.service) {
            traffic.row(server_cells(server));
        }
    }
    let mut reasons = Table::new(["Verdict", "Reason", of_reason[0], of_reason[1], "Meaning"]);
    for reason in &stats.reasons {
        let counts = [number(reason.packets), number(reason.bytes)];
        let words = [text(&reason.verdict), text(&reason.reason)];
        reasons.row(words.into_iter().chain(counts).chain([text(&reason.description)]).collect::<Vec<_>>());
    }
    format!("{}\n{}", traffic.finish(), reasons.finish())
}

fn server_cells(server: &ServerTraffic) -> Vec<Cell> {
    let counts = [server.in_packets, server.out_packets, server.in_bytes, server.out_bytes];
    cells([text("  ->"), text(&server.server), known(server.connections)], counts)
}

fn cells(first: [Cell; 3], counts: [u64; 4]) -> Vec<Cell> {
    first.into_iter().chain(counts.map(number)).collect()
}

/// One line per sampled decision.
pub fn samples(samples: &[Sample]) -> String {
    samples.iter().map(sample).collect()
}

fn sample(sample: &Sample) -> String {
    let protocol = match sample.protocol {
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        other => format!("protocol {other}"),
    };
    let seconds = sample.time_ns / 1_000_000_000;
    let millis = sample.time_ns / 1_000_000 % 1_000;
    let chosen = match (&sample.service, &sample.server) {
        (Some(service), Some(server)) => format!(" {service}/{server}"),
        (Some(service), None) => format!(" {service}"),
        (None, _) => String::new(),
    };
    let Sample { source, destination, verdict, reason, bytes, .. } = sample;
    format!(
        "{seconds}.{millis:03} {protocol} {source} > {destination} {bytes} bytes: {verdict} {reason}{chosen}\n"
    )
}
