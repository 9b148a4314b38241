//! Answers about traffic: counters, connections, sampled decisions.

use crate::config::model::Protocol;
use lb_common::counters::Count;
use lb_common::verdict::{Kind, Reason};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// The counters. They only grow; rates are made by who reads them twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Monotonic clock when they were read, in milliseconds.
    pub time_ms: u64,
    /// Per reason, those that are not zero.
    pub reasons: Vec<ReasonCount>,
    /// Per service.
    pub services: Vec<ServiceTraffic>,
    /// Per server of each service.
    pub servers: Vec<ServerTraffic>,
    /// Frames that were forwarded and that the interface to leave by did not send: `redirect-failed`, in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsent: Vec<UnsentCount>,
}

/// Frames that an interface did not send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsentCount {
    /// Name of the interface.
    pub interface: String,
    /// The kernel's error number; 0 if the driver took fewer than it was given.
    pub error: u32,
    /// The error in words.
    pub reason: String,
    /// Frames.
    pub packets: u64,
}

/// Packets that met one verdict for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    /// The word for the reason.
    pub reason: String,
    /// `pass`, `forward`, `answer`, `drop` or `note`.
    pub verdict: String,
    /// One sentence.
    pub description: String,
    /// Packets.
    pub packets: u64,
    /// Bytes of the frames as they came in.
    pub bytes: u64,
}

impl ReasonCount {
    /// What `count` packets met for `reason`; `answered` tells a refusal with an answer from one without.
    pub fn new(reason: Reason, answered: bool, count: Count) -> Self {
        Self {
            reason: reason.word().to_owned(),
            verdict: verdict_word(reason, answered).to_owned(),
            description: reason.description().to_owned(),
            packets: count.packets,
            bytes: count.bytes,
        }
    }
}

/// The word for what became of packets with this reason.
pub const fn verdict_word(reason: Reason, answered: bool) -> &'static str {
    match (reason.kind(), answered) {
        (Kind::Pass, _) => "pass",
        (Kind::Forward, _) => "forward",
        (Kind::Refuse, true) => "answer",
        (Kind::Refuse, false) => "drop",
        (Kind::Note, _) => "note",
    }
}

/// Traffic of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTraffic {
    /// Name of the service.
    pub service: String,
    /// Flows that were given a server; `None` where they are not counted.
    pub connections: Option<u64>,
    /// Packets from clients that were forwarded.
    pub in_packets: u64,
    /// Bytes of those frames.
    pub in_bytes: u64,
    /// Packets of nat servers that were translated back.
    pub out_packets: u64,
    /// Bytes of those frames.
    pub out_bytes: u64,
}

/// Traffic of a server in one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerTraffic {
    /// Name of the service.
    pub service: String,
    /// Name of the server's pool.
    pub pool: String,
    /// Name of the server.
    pub server: String,
    /// Flows that were given to it; `None` where they are not counted.
    pub connections: Option<u64>,
    /// Packets from clients that were forwarded to it.
    pub in_packets: u64,
    /// Bytes of those frames.
    pub in_bytes: u64,
    /// Packets of it that were translated back (nat).
    pub out_packets: u64,
    /// Bytes of those frames.
    pub out_bytes: u64,
}

/// Which connections are wanted; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionFilter {
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// Name of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Name of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// How many at most; `None` is 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Connections that match a filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// How many match.
    pub total: u64,
    /// The first of them, up to the limit.
    pub connections: Vec<ConnectionInfo>,
}

/// A remembered connection. The two entries of a nat connection are one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionInfo {
    /// The protocol.
    pub protocol: Protocol,
    /// The client.
    pub client: SocketAddr,
    /// The VIP and the port that the client asked for.
    pub vip: SocketAddr,
    /// Name of the service.
    pub service: String,
    /// Name of the server; `None` once it was removed.
    pub server: Option<String>,
    /// Where the server takes it; `None` once it was removed.
    pub destination: Option<SocketAddr>,
    /// `syn`, `established`, `fin`, `closed` or `udp`.
    pub state: String,
    /// Milliseconds since its last packet.
    pub idle_ms: u32,
    /// Milliseconds until it is forgotten if nothing comes.
    pub expires_ms: u32,
}

/// Asks for sampled decisions. The agent stops sampling when nobody has asked for five seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleRequest {
    /// One decision in this many is sampled.
    pub period: u32,
    /// How long to collect, in milliseconds; at most 10,000.
    pub wait_ms: u32,
}

/// A sampled decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Monotonic clock, in nanoseconds.
    pub time_ns: u64,
    /// Where the packet came from.
    pub source: SocketAddr,
    /// Where it was sent to.
    pub destination: SocketAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// Flags of the TCP header.
    pub tcp_flags: u8,
    /// `pass`, `forward`, `answer` or `drop`.
    pub verdict: String,
    /// The word for the reason.
    pub reason: String,
    /// Name of the service, if it was for one.
    pub service: Option<String>,
    /// Name of the server, if one was chosen.
    pub server: Option<String>,
    /// Length of the frame in bytes.
    pub bytes: u32,
    /// Index of the interface that it came in by.
    pub ifindex: u32,
}
