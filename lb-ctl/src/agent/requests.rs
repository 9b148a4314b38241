//! What the writer is asked, and what it answers.

use super::history::asked_by;
use super::writer::Writer;
use crate::api::{Failure, Origin, Reply, Request};
use crate::config::change::replacement;
use crate::config::diff::diff;
use tokio::sync::oneshot::Sender;

impl Writer {
    /// Does what is asked, and answers.
    pub(super) async fn handle(&mut self, request: Request, answer: Sender<Result<Reply, Failure>>) {
        if let Request::Samples(wanted) = request {
            self.sampling.ask(wanted, answer);
            self.converge();
            return;
        }
        let asked = if let Request::Change(request, by) = &request {
            asked_by(request, by)
        } else {
            Origin::default()
        };
        let reply = self.answer(request).await;
        if let Err(failure) = &reply {
            let Origin { uid, user, command, .. } = asked;
            tracing::info!(uid, user, command, %failure, "a request failed");
        }
        // Whoever asked may have gone away meanwhile.
        answer.send(reply).ok();
    }

    async fn answer(&mut self, request: Request) -> Result<Reply, Failure> {
        match request {
            Request::Change(request, by) => self.change(*request, by).await.map(Reply::Changed),
            Request::History => self.history().map(Reply::History),
            Request::Revision(number) => self.revision(number).map(Reply::Config),
            Request::Status => self.status().map(|status| Reply::Status(Box::new(status))),
            Request::Services => Ok(Reply::Services(self.services())),
            Request::Servers { pool } => self.servers(pool.as_deref()).map(Reply::Servers),
            Request::Vips => Ok(Reply::Vips(self.vips())),
            Request::Pools => Ok(Reply::Pools(self.pools())),
            Request::Stats => self.stats().map(Reply::Stats),
            Request::Connections(filter) => self.connections(&filter).map(Reply::Connections),
            Request::Config => Ok(Reply::Config(self.stored.config.clone())),
            Request::Diff(Some(config)) => {
                let after = replacement(&self.stored.config, &config);
                Ok(Reply::Diff(diff(&self.stored.config, &after)))
            }
            Request::Diff(None) => self.kernel_differences().map(Reply::Diff),
            Request::Samples(_) => Err(Failure::failed("samples are collected elsewhere")),
        }
    }
}
