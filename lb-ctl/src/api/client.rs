//! The client of the API: one connection per request.

use super::{
    Change, ChangeRequest, Changed, ConnectionFilter, Connections, Failure, PoolInfo, Sample, SampleRequest,
    ServerInfo, ServiceInfo, Stats, Status, VipInfo,
};
use crate::config::diff::Difference;
use crate::config::model::Config;
use crate::store::Revision;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// What the agent only has to look up comes in milliseconds.
const READ: Duration = Duration::from_secs(3);
/// A change may wait for neighbours, a grace period and the verifier.
const CHANGE: Duration = Duration::from_secs(20);
/// Copying tables of other sizes takes about four seconds a million connections.
const RESIZE: Duration = Duration::from_mins(1);

/// Speaks to the agent.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the agent that answers on `socket`.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The path of the socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether an agent answers; connecting is enough to know.
    ///
    /// # Errors
    /// The socket is there, but may not be used by this user.
    pub async fn is_agent_there(&self) -> Result<bool, Failure> {
        match UnixStream::connect(&self.socket).await {
            Ok(_) => Ok(true),
            // Somebody has the socket and takes nothing from its queue.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                Ok(false)
            }
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// The process that made the socket; `None` if it takes no connection or the kernel does not tell.
    pub async fn agent_pid(&self) -> Option<u32> {
        let stream = UnixStream::connect(&self.socket).await.ok()?;
        u32::try_from(stream.peer_cred().ok()?.pid()?).ok()
    }

    /// Changes the configuration.
    ///
    /// # Errors
    /// The agent refuses, fails, or cannot be reached; the same for all that follow.
    pub async fn change(&self, request: &ChangeRequest) -> Result<Changed, Failure> {
        let resizes =
            matches!(request.change, Change::LimitsSet(_) | Change::Apply { .. } | Change::Rollback { .. });
        let limit = if resizes { RESIZE } else { CHANGE };
        let body = serde_json::to_vec(request).map_err(|error| self.broken(&error))?;
        self.request_within(limit, Method::POST, "/v1/changes", body.into()).await
    }

    /// The revisions that are kept, newest first.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub async fn history(&self) -> Result<Vec<Revision>, Failure> {
        self.get("/v1/history").await
    }

    /// The configuration of a revision.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub async fn revision(&self, number: u64) -> Result<Config, Failure> {
        self.query("/v1/config", [("revision", number)]).await
    }

    /// How the agent and its interfaces are.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub async fn status(&self) -> Result<Status, Failure> {
        self.get("/v1/status").await
    }

    /// Every service with its servers.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub async fn services(&self) -> Result<Vec<ServiceInfo>, Failure> {
        self.get("/v1/services").await
    }

    /// The servers of `pool`, or of all.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub async fn servers(&self, pool: Option<&str>) -> Result<Vec<ServerInfo>, Failure> {
        self.query("/v1/servers", [("pool", pool)]).await
    }

    /// Every VIP.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub async fn vips(&self) -> Result<Vec<VipInfo>, Failure> {
        self.get("/v1/vips").await
    }

    /// Every pool.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub async fn pools(&self) -> Result<Vec<PoolInfo>, Failure> {
        self.get("/v1/pools").await
    }

    /// The counters.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub async fn stats(&self) -> Result<Stats, Failure> {
        self.get("/v1/stats").await
    }

    /// Sampled decisions.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub async fn samples(&self, request: SampleRequest) -> Result<Vec<Sample>, Failure> {
        self.query("/v1/samples", request).await
    }

    /// Connections that match.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub async fn connections(&self, filter: &ConnectionFilter) -> Result<Connections, Failure> {
        self.query("/v1/connections", filter).await
    }

    /// The configuration.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub async fn config(&self) -> Result<Config, Failure> {
        self.get("/v1/config").await
    }

    /// What applying `config` would change; without one, what the kernel has that the store has not.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub async fn diff(&self, config: Option<&Config>) -> Result<Vec<Difference>, Failure> {
        match config {
            Some(config) => self.send(Method::POST, "/v1/diff", config).await,
            None => self.get("/v1/diff").await,
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.request(Method::GET, path, Bytes::new()).await
    }

    async fn query<T: DeserializeOwned>(&self, path: &str, query: impl Serialize) -> Result<T, Failure> {
        let query = serde_urlencoded::to_string(query).map_err(|error| self.broken(&error))?;
        self.get(&format!("{path}?{query}")).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| self.broken(&error))?;
        self.request(method, path, body.into()).await
    }

    async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, Failure> {
        let limit = if method == Method::GET { READ } else { CHANGE };
        self.request_within(limit, method, path, body).await
    }

    async fn request_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, Failure> {
        let request = self.build(method, path, body)?;
        let answer = tokio::time::timeout(limit, self.exchange(request)).await;
        let (is_success, body) = answer.map_err(|_| self.too_late(limit))??;
        if is_success {
            return serde_json::from_slice(&body).map_err(|error| self.broken(&error));
        }
        Err(self.refusal(&body))
    }

    pub(super) fn build(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "lb");
        let request = request.header(header::CONTENT_TYPE, "application/json").body(Full::new(body));
        request.map_err(|error| self.broken(&error))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(bool, Bytes), Failure> {
        let (_sender, response) = self.send_request(request).await?;
        let is_success = response.status().is_success();
        let body = response.into_body().collect().await.map_err(|error| self.broken(&error))?;
        Ok((is_success, body.to_bytes()))
    }

    /// Sends on a connection of its own, which ends with the sender and the body.
    pub(super) async fn send_request(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(SendRequest<Full<Bytes>>, Response<Incoming>), Failure> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.broken(&error))?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        Ok((sender, response))
    }

    /// What the agent said when it refused.
    pub(super) fn refusal(&self, body: &[u8]) -> Failure {
        serde_json::from_slice(body).unwrap_or_else(|_| self.broken(&String::from_utf8_lossy(body)))
    }
}
