//! Client and server against each other, on a real socket.

use super::client::Client;
use super::server::{MAX_BODY, serve_on};
use super::socket::Bound;
use super::*;
use crate::agent::AgentHandle;
use crate::config::diff::Kind;
use crate::config::model::{Announce, Interface, Method, OnFailure, Ports, Scheduler, Server, Track, Udp};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A server that notes what it is asked, and a client of it.
struct Pair {
    client: Client,
    asked: Arc<Mutex<Vec<Request>>>,
    directory: tempfile::TempDir,
}

fn pair(answer: impl Fn(&Request) -> Result<Reply, Failure> + Send + 'static) -> Pair {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&asked);
    let handle = AgentHandle::answered_by(move |request| {
        let reply = answer(&request);
        note.lock().unwrap().push(request);
        reply
    });
    let socket = Bound::new(&path, None).unwrap();
    tokio::spawn(serve_on(socket, handle, std::future::pending()));
    Pair { client: Client::new(path), asked, directory }
}

impl Pair {
    fn asked(&self) -> Vec<Request> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// Sends bytes as they are; gives the status line and the body.
    async fn raw(&self, request: &str) -> (String, String) {
        let mut stream = UnixStream::connect(self.directory.path().join("agent.sock")).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }
}

fn changed() -> Changed {
    let (object, name) = ("service".to_owned(), "web".to_owned());
    let difference =
        Difference { change: Kind::Added, object, name, detail: "address 192.0.2.10:80/tcp".to_owned() };
    let cuts = vec![Cut { service: "web".into(), server: "web/pc1".into(), connections: Some(3) }];
    let (differences, notes) = (vec![difference], vec!["a note".to_owned()]);
    Changed { differences, notes, interface: None, cuts, revision: 12 }
}

/// The change with everything that can go with it.
fn request(change: Change) -> ChangeRequest {
    let (command, message) = (Some("what was typed".into()), Some("why".into()));
    let terms = Terms { command, message, dry_run: true, confirmed: true, now: true, expect: Some(3) };
    ChangeRequest { terms, change }
}

/// Who runs the tests, as the kernel tells it to the server.
fn own_user() -> Actor {
    user(nix::unistd::getuid().as_raw())
}

fn service_add() -> Change {
    let toml = "[[service]]\nname = \"web\"\nvip = \"192.0.2.10\"\nport = [80, 443]\nprotocol = \"tcp\"\n[[pool]]\nname = \"web\"\n";
    let config = crate::config::parse::from_toml(toml, "test").unwrap();
    Change::ServiceAdd(config.services[0].clone())
}

#[tokio::test]
async fn every_request_arrives_as_it_was_sent() {
    let pair = pair(|_| Err(Failure::failed("noted")));
    let (client, refused) = (&pair.client, Failure::failed("noted"));
    let filter = ConnectionFilter {
        client: Some("2001:db8::7".parse().unwrap()),
        service: Some("a b&c".into()),
        server: None,
        limit: Some(5),
    };
    let samples = SampleRequest { period: 100, wait_ms: 500 };
    let config = Config::default();
    assert_eq!(client.status().await, Err(refused.clone()));
    assert_eq!(client.services().await, Err(refused.clone()));
    assert_eq!(client.servers(None).await, Err(refused.clone()));
    assert_eq!(client.servers(Some("web")).await, Err(refused.clone()));
    assert_eq!(client.vips().await, Err(refused.clone()));
    assert_eq!(client.pools().await, Err(refused.clone()));
    assert_eq!(client.stats().await, Err(refused.clone()));
    assert_eq!(client.samples(samples).await, Err(refused.clone()));
    assert_eq!(client.connections(&filter).await, Err(refused.clone()));
    assert_eq!(client.config().await, Err(refused.clone()));
    assert_eq!(client.diff(None).await, Err(refused.clone()));
    assert_eq!(client.diff(Some(&config)).await, Err(refused.clone()));
    assert_eq!(client.change(&request(service_add())).await, Err(refused.clone()));
    assert_eq!(client.history().await, Err(refused.clone()));
    assert_eq!(client.revision(12).await, Err(refused));
    let want = [
        Request::Status,
        Request::Services,
        Request::Servers { pool: None },
        Request::Servers { pool: Some("web".into()) },
        Request::Vips,
        Request::Pools,
        Request::Stats,
        Request::Samples(samples),
        Request::Connections(filter),
        Request::Config,
        Request::Diff(None),
        Request::Diff(Some(config)),
        Request::Change(Box::new(request(service_add())), own_user()),
        Request::History,
        Request::Revision(12),
    ];
    assert_eq!(pair.asked(), want);
}

#[tokio::test]
async fn an_answer_comes_back_as_it_was_given() {
    let pair = pair(|_| Ok(Reply::Changed(changed())));
    assert_eq!(pair.client.change(&request(service_add())).await, Ok(changed()));
}

#[tokio::test]
async fn a_failure_keeps_its_kind_and_hint() {
    use FailureKind::{Conflict, Failed, NotFound, Unconfirmed, Usage};
    let rows = [(Usage, "400"), (NotFound, "404"), (Conflict, "409"), (Unconfirmed, "409"), (Failed, "500")];
    for (kind, status) in rows {
        let failure = Failure::new(kind, "it is so").with_hint("do this");
        let given = failure.clone();
        let pair = pair(move |_| Err(given.clone()));
        assert_eq!(pair.client.status().await, Err(failure));
        let (line, _) = pair.raw("GET /v1/status HTTP/1.1\r\nhost: lb\r\nconnection: close\r\n\r\n").await;
        assert!(line.contains(status), "{kind:?}: {line}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_reaches_nobody() {
    let pair = pair(|_| Ok(Reply::Changed(changed())));
    let json = "content-type: application/json\r\n";
    let too_long = format!("{json}content-length: {}\r\n", MAX_BODY + 1);
    let rows = [
        ("GET /v1/nothing", "", "", "404", "nothing at this path"),
        ("DELETE /v1/config", "", "", "400", "does not take that method"),
        ("POST /v1/changes", json, "{\"chan", "400", "cannot read the request"),
        ("POST /v1/changes", "", "{}", "400", "application/json"),
        ("POST /v1/changes", json, "{\"change\":\"burn\"}", "400", "unknown variant"),
        ("PUT /v1/config", json, "{\"colour\":1}", "400", "unknown field"),
        ("GET /v1/connections?colour=1", "", "", "400", "unknown field"),
        ("POST /v1/changes", &too_long, "", "413", ""),
    ];
    for (line, headers, body, status, want) in rows {
        let length =
            if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let head = format!("{line} HTTP/1.1\r\nhost: lb\r\nconnection: close\r\n{headers}{length}");
        let (answer, told) = pair.raw(&format!("{head}\r\n{body}")).await;
        assert!(answer.contains(status), "{line} {body}: {answer}");
        assert!(told.contains(want), "{line} {body}: {told}");
    }
    assert_eq!(pair.asked(), []);
}

#[tokio::test]
async fn a_whole_configuration_can_be_put() {
    let pair = pair(|_| Ok(Reply::Changed(changed())));
    let request = "PUT /v1/config?allow_empty=true&confirmed=true&expect=7 HTTP/1.1\r\nhost: lb\r\nconnection: close\r\n\
                   content-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let (line, _) = pair.raw(request).await;
    assert!(line.contains("200"), "{line}");
    let change = Change::Apply { config: Config::default(), allow_empty: true };
    let terms = Terms { confirmed: true, expect: Some(7), ..Terms::default() };
    assert_eq!(pair.asked(), [Request::Change(Box::new(ChangeRequest { terms, change }), own_user())]);
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_told_from_one_that_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let client = Client::new(&path);
    assert_eq!(client.is_agent_there().await, Ok(false));
    let failure = client.status().await.unwrap_err();
    assert_eq!(failure.message, format!("cannot reach the agent at {}: no such file", path.display()));
    assert_eq!(failure.hint.as_deref(), Some("`lb-ctl attach INTERFACE` starts one"));
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert_eq!(client.is_agent_there().await, Ok(false));
    let failure = client.status().await.unwrap_err();
    assert!(failure.message.ends_with("nobody answers"), "{failure}");
    let pair = pair(|_| Ok(Reply::Pools(Vec::new())));
    assert_eq!(pair.client.is_agent_there().await, Ok(true));
}

#[tokio::test]
async fn every_change_survives_the_wire() {
    let (pool, server) = ("web".to_owned(), "pc1".to_owned());
    let added = Server {
        name: server.clone(),
        address: "[2001:db8::1]:8080".parse().unwrap(),
        method: Method::Nat,
        weight: 0,
    };
    let service_settings = ServiceSettings {
        port: Some(Ports::Any),
        scheduler: Some(Scheduler::Sh),
        on_failure: Some(OnFailure::Drop),
        track: Some(Track::Always),
        udp: Some(Udp::Stable),
    };
    let server_settings = ServerSettings { weight: Some(7), method: Some(Method::Ipip), temporary: false };
    let changes = [
        Change::Attach(Interface { name: "eth0".into(), mode: crate::config::model::Mode::Generic }),
        Change::Detach { name: "eth0".into() },
        service_add(),
        Change::ServiceSet { name: "web".into(), settings: service_settings },
        Change::ServiceRemove { name: "web".into() },
        Change::ServerAdd { pool: pool.clone(), server: added },
        Change::ServerSet { pool: pool.clone(), server: server.clone(), settings: server_settings },
        Change::ServerRemove { pool: pool.clone(), server: server.clone() },
        Change::ServerDrain { pool: pool.clone(), server: server.clone() },
        Change::ServerUndrain { pool: pool.clone(), server },
        Change::PoolAdd { name: pool.clone() },
        Change::PoolSet { service: "web".into(), pools: vec![pool.clone()] },
        Change::PoolRemove { name: pool },
        Change::VipSet { address: "192.0.2.10".parse().unwrap(), announce: Some(Announce::None) },
        Change::Apply { config: Config::default(), allow_empty: true },
        Change::Rollback { number: None },
        Change::Rollback { number: Some(7) },
    ];
    for change in changes {
        for request in [request(change.clone()), ChangeRequest { terms: Terms::default(), change }] {
            let json = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<ChangeRequest>(&json).unwrap(), request, "{json}");
            assert!(json.contains(&format!("\"change\":\"{}\"", request.change.word())), "{json}");
        }
    }
}

#[tokio::test]
async fn events_come_as_they_happen_and_end_with_the_agent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let handle = AgentHandle::answered_by(|_| Err(Failure::failed("noted")));
    tokio::spawn(serve_on(Bound::new(&path, None).unwrap(), handle.clone(), std::future::pending()));
    let client = Client::new(&path);
    handle.tell("one");
    handle.tell("two");
    let mut all = client.events(EventRequest { since: 0, follow: true }).await.unwrap();
    let one = all.next().await.unwrap().unwrap();
    assert_eq!((one.text.as_str(), one.kind, one.level), ("one", EventKind::Change, Level::Info));
    let mut later = client.events(EventRequest { since: one.sequence, follow: false }).await.unwrap();
    assert_eq!(later.next().await.unwrap().map(|event| event.text), Some("two".to_owned()));
    assert_eq!(later.next().await, Ok(None));
    assert_eq!(all.next().await.unwrap().map(|event| event.text), Some("two".to_owned()));
    handle.tell("three");
    assert_eq!(all.next().await.unwrap().map(|event| event.text), Some("three".to_owned()));
    handle.tell("the last");
    handle.end().await;
    assert_eq!(all.next().await.unwrap().map(|event| event.text), Some("the last".to_owned()));
    assert_eq!(all.next().await, Ok(None));
}

#[test]
fn an_event_has_stable_names() {
    let origin = Origin { uid: Some(0), revision: Some(12), ..Origin::default() };
    let event = Event {
        sequence: 1,
        time_ms: 2,
        level: Level::Warn,
        kind: EventKind::Server,
        subject: "web/pc2".into(),
        text: "up -> unreachable".into(),
        lines: Vec::new(),
        hint: None,
        origin,
    };
    let json = serde_json::to_string(&event).unwrap();
    let want = "{\"sequence\":1,\"time_ms\":2,\"level\":\"warn\",\"kind\":\"server\",\"subject\":\"web/pc2\",\
                \"text\":\"up -> unreachable\",\"uid\":0,\"revision\":12}";
    assert_eq!(json, want);
    assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
}
