//! The client's end of a stream of events.

use super::client::Client;
use super::{Event, EventRequest, Failure};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use std::time::Duration;

/// The agent begins to answer within this time.
const BEGIN: Duration = Duration::from_secs(3);

/// Events as they come.
#[derive(Debug)]
pub struct Events {
    client: Client,
    body: Incoming,
    rest: Vec<u8>,
    /// Keeps the connection open.
    _sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// The events that `request` asks for.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub async fn events(&self, request: EventRequest) -> Result<Events, Failure> {
        let query = serde_urlencoded::to_string(request).map_err(|error| self.broken(&error))?;
        let request = self.build(hyper::Method::GET, &format!("/v1/events?{query}"), Bytes::new())?;
        let begun = tokio::time::timeout(BEGIN, self.send_request(request)).await;
        let (sender, response) = begun.map_err(|_| self.too_late(BEGIN))??;
        if response.status().is_success() {
            let (client, body) = (self.clone(), response.into_body());
            return Ok(Events { client, body, rest: Vec::new(), _sender: sender });
        }
        let body = response.into_body().collect().await.map_err(|error| self.broken(&error))?;
        Err(self.refusal(&body.to_bytes()))
    }
}

impl Events {
    /// The next event, when it comes; `None` when the agent ended the stream, or ended itself.
    ///
    /// # Errors
    /// What comes is no event.
    pub async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return serde_json::from_slice(&line).map(Some).map_err(|error| self.client.broken(&error));
            }
            let Some(Ok(frame)) = self.body.frame().await else { return Ok(None) };
            if let Ok(bytes) = frame.into_data() {
                self.rest.extend_from_slice(&bytes);
            }
        }
    }
}
