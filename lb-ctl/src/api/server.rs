//! The server of the API: HTTP/JSON on a UNIX socket.

use super::peer::Peer;
use super::socket::Bound;
use super::{
    Change, ChangeRequest, ConnectionFilter, Event, EventRequest, Failure, FailureKind, Reply, Request,
    SampleRequest, Terms,
};
use crate::agent::AgentHandle;
use crate::config::model::Config;
use anyhow::{Context, Result};
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{ConnectInfo, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use serde::Deserialize;
use std::time::Duration;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

/// Largest body of a request in bytes: a configuration of as many servers as the tables hold fits.
pub const MAX_BODY: usize = 16 * 1024 * 1024;
/// Longest time for one request, from its headers to the answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// Answers requests on `socket` until it is dropped, or until `end`: then those that have come by then are answered.
///
/// # Errors
/// The socket breaks.
pub async fn serve_on(
    mut socket: Bound,
    handle: AgentHandle,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let listener = socket.listener()?;
    let service = router(handle).into_make_service_with_connect_info::<Peer>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(end);
    serving.await.context("cannot answer requests")
}

fn router(handle: AgentHandle) -> Router {
    Router::new()
        .route("/v1/status", get(|state: Agent| ask(state, Request::Status)))
        .route("/v1/services", get(|state: Agent| ask(state, Request::Services)))
        .route("/v1/servers", get(servers))
        .route("/v1/vips", get(|state: Agent| ask(state, Request::Vips)))
        .route("/v1/pools", get(|state: Agent| ask(state, Request::Pools)))
        .route("/v1/stats", get(|state: Agent| ask(state, Request::Stats)))
        .route("/v1/samples", get(samples))
        .route("/v1/connections", get(connections))
        .route("/v1/events", get(events))
        .route("/v1/config", get(config).put(put_config))
        .route("/v1/history", get(|state: Agent| ask(state, Request::History)))
        .route("/v1/diff", get(|state: Agent| ask(state, Request::Diff(None))).post(post_diff))
        .route("/v1/changes", post(post_change))
        .fallback(async || refuse(FailureKind::NotFound, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            refuse(FailureKind::Usage, "this path does not take that method")
        })
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, REQUEST_TIMEOUT))
        .layer(RequestBodyLimitLayer::new(MAX_BODY))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(handle)
}

type Agent = State<AgentHandle>;
type Sender = ConnectInfo<Peer>;
type Answer = Result<Json<Reply>, Failure>;

async fn ask(State(agent): Agent, request: Request) -> Answer {
    agent.request(request).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolQuery {
    pool: Option<String>,
}

async fn servers(agent: Agent, query: Result<Query<PoolQuery>, QueryRejection>) -> Answer {
    let Query(PoolQuery { pool }) = query?;
    ask(agent, Request::Servers { pool }).await
}

async fn samples(agent: Agent, query: Result<Query<SampleRequest>, QueryRejection>) -> Answer {
    let Query(request) = query?;
    ask(agent, Request::Samples(request)).await
}

async fn connections(agent: Agent, query: Result<Query<ConnectionFilter>, QueryRejection>) -> Answer {
    let Query(filter) = query?;
    ask(agent, Request::Connections(filter)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevisionQuery {
    revision: Option<u64>,
}

async fn config(agent: Agent, query: Result<Query<RevisionQuery>, QueryRejection>) -> Answer {
    let Query(RevisionQuery { revision }) = query?;
    ask(agent, revision.map_or(Request::Config, Request::Revision)).await
}

/// A line of JSON an event. The time that a request may take ends with the headers of its answer.
async fn events(
    State(agent): Agent,
    query: Result<Query<EventRequest>, QueryRejection>,
) -> Result<Response, Failure> {
    let Query(request) = query?;
    let lines = stream::unfold(agent.events(request), async |mut reader| {
        let events = reader.next().await?;
        Some((events.iter().map(line).collect::<Result<String, _>>(), reader))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

fn line(event: &Event) -> serde_json::Result<String> {
    Ok(serde_json::to_string(event)? + "\n")
}

async fn post_change(agent: Agent, peer: Sender, body: Result<Json<ChangeRequest>, JsonRejection>) -> Answer {
    let Json(change) = body?;
    ask(agent, Request::Change(Box::new(change), peer.0.actor())).await
}

async fn post_diff(agent: Agent, body: Result<Json<Config>, JsonRejection>) -> Answer {
    let Json(config) = body?;
    ask(agent, Request::Diff(Some(config))).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplyQuery {
    #[serde(default)]
    allow_empty: bool,
    #[serde(default)]
    confirmed: bool,
    #[serde(default)]
    now: bool,
    expect: Option<u64>,
}

async fn put_config(
    agent: Agent,
    peer: Sender,
    query: Result<Query<ApplyQuery>, QueryRejection>,
    body: Result<Json<Config>, JsonRejection>,
) -> Answer {
    let (Query(ApplyQuery { allow_empty, confirmed, now, expect }), Json(config)) = (query?, body?);
    let change = Change::Apply { config, allow_empty };
    let terms = Terms { confirmed, now, expect, ..Terms::default() };
    ask(agent, Request::Change(Box::new(ChangeRequest { terms, change }), peer.0.actor())).await
}

fn refuse(kind: FailureKind, message: &str) -> Failure {
    Failure::new(kind, message)
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        Self::usage(format!("cannot read the request: {}", rejection.body_text()))
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::usage(format!("cannot read the request: {}", rejection.body_text()))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.kind {
            FailureKind::Usage => StatusCode::BAD_REQUEST,
            FailureKind::NotFound => StatusCode::NOT_FOUND,
            FailureKind::Conflict | FailureKind::Unconfirmed => StatusCode::CONFLICT,
            FailureKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self)).into_response()
    }
}
