//! What people see, as snapshots.

mod decap_status;
mod errors;
mod events;

use super::history::tests::revision;
use super::*;
use crate::api::{
    AgentInfo, AttachedMode, Changed, ConnectionInfo, Connections, Cut, InterfaceState, InterfaceStatus,
    PoolInfo, ReasonCount, Sample, ServerInfo, ServerSituation, ServerTraffic, ServiceInfo, ServiceTraffic,
    SlotProgress, Stats, Status, TableUse, Tracking, VipInfo, Warning,
};
use crate::config::diff::{Difference, Kind};
use crate::config::intent::{Actor, Mark, Order, ServerName, TemporaryWeight};
use crate::config::model::{Announce, Method, Mode, OnFailure, Protocol, Scheduler};
use lb_common::counters::Count;
use lb_common::verdict::Reason;
use std::collections::BTreeMap;

pub(super) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn server(name: &str, address: &str, method: Method, state: ServerSituation) -> ServerInfo {
    let problem =
        (state == ServerSituation::Unreachable).then(|| format!("{address} does not answer on eth0"));
    let counted = state != ServerSituation::Unused;
    ServerInfo {
        pool: "web".into(),
        name: name.into(),
        address: address.parse().unwrap(),
        method,
        weight: 3,
        state,
        active: counted.then_some(1_234),
        inactive: counted.then_some(5),
        problem,
        order: (state == ServerSituation::Draining).then(order),
        leaving: (state == ServerSituation::Leaving).then(mark),
    }
}

pub(super) fn mark() -> Mark {
    Mark { by: Actor { uid: Some(1_000), user: "ann".into() }, since: 1_700_000_000 }
}

fn order() -> Order {
    Order { drain: Some(mark()), weight: Some(TemporaryWeight { weight: 5, mark: Mark::default() }) }
}

fn service(name: &str, endpoint: &str, on_failure: OnFailure, servers: Vec<ServerInfo>) -> ServiceInfo {
    let crate::config::model::Endpoint { vip, port, protocol } = endpoint.parse().unwrap();
    let pools = vec!["web".to_owned()];
    let slots = name == "voip";
    let scheduler = if slots { Scheduler::Mh } else { Scheduler::Wrr };
    let tracking = if slots { Tracking::Slots } else { Tracking::Tracked };
    let name = name.into();
    ServiceInfo { name, vip, port, protocol, scheduler, on_failure, tracking, pools, servers }
}

fn services() -> Vec<ServiceInfo> {
    use ServerSituation::{Draining, Leaving, NoNew, Unreachable, Up};
    let servers = vec![
        server("pc1", "10.0.0.11", Method::Dr, Up),
        server("pc2", "10.0.0.12:8080", Method::Nat, Draining),
        server("pc3", "10.1.0.13", Method::Ipip, Unreachable),
        server("pc0", "10.0.0.10", Method::Dr, Leaving),
    ];
    let of_list = vec![server("pc4", "2001:db8::4", Method::Dr, NoNew)];
    vec![
        service("web", "192.0.2.10:80/tcp", OnFailure::Reject, servers),
        service("mail", "[2001:db8::10]:25,465,587/tcp", OnFailure::Drop, of_list),
        service("voip", "192.0.2.10:any/udp", OnFailure::Reject, Vec::new()),
    ]
}

#[test]
fn list_has_the_columns_of_ipvsadm() {
    insta::assert_snapshot!(plain(&list::all(&services())));
}

#[test]
fn nouns_are_listed() {
    let services = services();
    let vips = [
        VipInfo {
            address: "192.0.2.10".parse().unwrap(),
            announce: Announce::Arp,
            services: vec!["web".into(), "voip".into()],
            interface: Some("eth0".into()),
        },
        VipInfo {
            address: "2001:db8::10".parse().unwrap(),
            announce: Announce::None,
            services: vec!["mail".into()],
            interface: None,
        },
    ];
    let pools = [
        PoolInfo {
            name: "web".into(),
            servers: vec!["pc1".into(), "pc2".into()],
            services: vec!["web".into()],
        },
        PoolInfo { name: "spare".into(), servers: Vec::new(), services: Vec::new() },
    ];
    let unused = server("pc9", "10.0.0.19", Method::Dr, ServerSituation::Unused);
    let servers: Vec<_> =
        services.iter().flat_map(|service| service.servers.clone()).chain([unused]).collect();
    let listings =
        [list::services(&services), list::servers(&servers), list::vips(&vips), list::pools(&pools)];
    insta::assert_snapshot!(plain(&listings.join("\n")));
}

#[test]
fn status_tells_who_supervises_and_what_is_wrong() {
    let interface = |name: &str, ifindex, state, attached| InterfaceStatus {
        name: name.into(),
        ifindex,
        mode: Mode::Auto,
        state,
        attached,
    };
    let running = Status {
        silent_agent: None,
        unsupervised_since: None,
        agent: Some(AgentInfo { pid: 4711, version: "0.1.0".into(), since: 1_700_000_000 }),
        interfaces: vec![
            interface("eth0", Some(2), InterfaceState::Attached, Some(AttachedMode::Native)),
            interface("eth1", Some(3), InterfaceState::Detached, None),
            interface("eth2", None, InterfaceState::Missing, None),
        ],
        revision: Some(revision(12, None)),
        orders: [(ServerName::new("web", "pc1"), order())].into(),
        services: 3,
        servers: 4,
        servers_up: 1,
        tables: vec![TableUse { table: "connections".into(), used: 12, limit: 262_144 }],
        slots: Some(SlotProgress::Following),
        drift: Some(events::drift()),
        warnings: vec![Warning {
            message: "eth2 is gone".into(),
            hint: Some("it is attached when it comes back".into()),
        }],
    };
    let since = Some(1_795_867_387);
    let orphaned = Status { agent: None, unsupervised_since: since, warnings: Vec::new(), ..running.clone() };
    let nothing = Status {
        revision: None,
        orders: BTreeMap::new(),
        silent_agent: None,
        interfaces: Vec::new(),
        tables: Vec::new(),
        services: 0,
        servers: 0,
        servers_up: 0,
        ..orphaned.clone()
    };
    let silent = Status { silent_agent: Some(4711), ..orphaned.clone() };
    let down = |number| Warning {
        message: format!("web/pc{number} at 10.0.0.{number}: its next hop does not answer"),
        hint: Some("is it up, and on this segment?".into()),
    };
    let outage = Status { warnings: (1..=13).map(down).collect(), ..nothing.clone() };
    let all = [running, orphaned, nothing, silent, outage].map(|status| status::status(&status));
    insta::assert_snapshot!(plain(&all.join("----\n")));
}

#[test]
fn stats_have_the_columns_of_ipvsadm() {
    let reason = |reason, answered, packets| {
        ReasonCount::new(reason, answered, Count { packets, bytes: packets * 60 })
    };
    let (service, server) = ("web".to_owned(), "pc1".to_owned());
    let stats = Stats {
        unsent: Vec::new(),
        time_ms: 1_000,
        reasons: vec![
            reason(Reason::NotIp, false, 12),
            reason(Reason::ForwardedDr, false, 1_000_000),
            reason(Reason::NoServer, true, 3),
            reason(Reason::NoServer, false, 4),
        ],
        services: vec![ServiceTraffic {
            service: service.clone(),
            connections: Some(13),
            in_packets: 1_000_000,
            in_bytes: 60_000_000,
            out_packets: 0,
            out_bytes: 0,
        }],
        servers: vec![ServerTraffic {
            service,
            pool: "web".into(),
            server,
            connections: None,
            in_packets: 1_000_000,
            in_bytes: 60_000_000,
            out_packets: 0,
            out_bytes: 0,
        }],
    };
    insta::assert_snapshot!(plain(&format!("{}----\n{}", stats::totals(&stats), stats::rates(&stats))));
}

#[test]
fn connections_and_samples_name_both_ends() {
    let address = |text: &str| text.parse().unwrap();
    let connection = |server: Option<&str>, state: &str| ConnectionInfo {
        protocol: Protocol::Tcp,
        client: address("198.51.100.7:22002"),
        vip: address("192.0.2.10:80"),
        service: "web".into(),
        server: server.map(str::to_owned),
        destination: server.map(|_| address("10.0.0.11:80")),
        state: state.into(),
        idle_ms: 2_000,
        expires_ms: 898_000,
    };
    let found = Connections {
        total: 3,
        connections: vec![connection(Some("pc1"), "established"), connection(None, "fin")],
    };
    let sample = |service: Option<&str>, server: Option<&str>, verdict: &str, reason: &str| Sample {
        time_ns: 12_345_678_901,
        source: address("[2001:db8::7]:22002"),
        destination: address("[2001:db8::10]:80"),
        protocol: 6,
        tcp_flags: 2,
        verdict: verdict.into(),
        reason: reason.into(),
        service: service.map(str::to_owned),
        server: server.map(str::to_owned),
        bytes: 74,
        ifindex: 2,
    };
    let samples = [
        sample(Some("web"), Some("pc1"), "forward", "forwarded-dr"),
        sample(Some("web"), None, "answer", "no-server"),
        sample(None, None, "pass", "not-a-service"),
    ];
    insta::assert_snapshot!(plain(&format!(
        "{}----\n{}",
        connections::connections(&found),
        stats::samples(&samples)
    )));
}

#[test]
fn a_change_tells_what_it_came_to() {
    let difference = |change, object: &str, name: &str, detail: &str| Difference {
        change,
        object: object.into(),
        name: name.into(),
        detail: detail.into(),
    };
    let differences = vec![
        difference(Kind::Added, "pool", "web", ""),
        difference(Kind::Changed, "server", "web/pc1", "weight 1 -> 3"),
        difference(Kind::Removed, "interface", "eth1", "mode auto"),
    ];
    let interface = InterfaceStatus {
        name: "eth0".into(),
        ifindex: Some(2),
        mode: Mode::Auto,
        state: InterfaceState::Attached,
        attached: Some(AttachedMode::Generic),
    };
    let cut = |server: &str, connections| Cut { service: "web".into(), server: server.into(), connections };
    let cuts = vec![cut("web/pc1", Some(1)), cut("web/pc2", Some(12_345)), cut("web/pc3", None)];
    let plan = Changed { differences: differences.clone(), cuts, revision: 13, ..Changed::default() };
    let rows = [
        change::changed(&Changed {
            differences: differences.clone(),
            notes: vec!["pool web is used by web, mail".into()],
            revision: 12,
            ..Changed::default()
        }),
        change::plan(&plan),
        change::question(&Failure::failed("not done: it cuts 2 live connections")),
        change::outcome(&plan),
        change::plan(&Changed::default()),
        change::changed(&Changed { interface: Some(interface), ..Changed::default() }),
        change::changed(&Changed::default()),
        change::differences(&differences),
        change::differences(&[]),
        change::started(4711, std::path::Path::new("/var/lib/lb/agent.log"), "eth0"),
        change::started_unit(true, "eth0"),
        change::started_unit(false, "eth0"),
    ];
    insta::assert_snapshot!(plain(&rows.join("----\n")));
}
