//! The last seconds of an agent that was told to stop: what it was asked is answered.

use super::Asked;
use super::supervisor;
use super::writer::Writer;
use crate::api::{Failure, Request};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Longest time for answers; whoever waits for the end of an agent waits longer.
const FAREWELL: Duration = Duration::from_secs(3);

/// The server of the API, and how to end it.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) task: JoinHandle<anyhow::Result<()>>,
    pub(super) end: oneshot::Sender<()>,
}

impl Writer {
    /// Takes no new connections, and answers what has come: a change is made and told, or not made at all.
    pub(super) async fn finish(&mut self, mut queue: mpsc::Receiver<Asked>, api: Api) {
        supervisor::tell_stopping();
        let (Api { mut task, end }, deadline) = (api, Instant::now() + FAREWELL);
        // It may have ended by itself.
        end.send(()).ok();
        self.sampling.dismiss();
        loop {
            tokio::select! {
                Some((request, answer)) = queue.recv() => {
                    if matches!(request, Request::Samples(_)) {
                        answer.send(Err(stopping())).ok();
                    } else {
                        self.handle(request, answer).await;
                    }
                }
                _ended = &mut task => return,
                () = sleep_until(deadline) => break,
            }
        }
        task.abort();
        task.await.ok();
    }
}

/// What is told to those who ask in vain.
pub(super) fn stopping() -> Failure {
    Failure::failed("the agent is stopping").with_hint("forwarding goes on; start the agent again")
}
