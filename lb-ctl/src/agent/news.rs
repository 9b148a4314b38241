//! What the operator is told of on the way, for the journal.

use super::journal::News;
use super::writer::Writer;
use crate::api::{EventKind, Failure, Level, Origin};
use crate::config::diff::Difference;

impl Writer {
    /// Tells that the agent works.
    pub(super) fn tell_start(&self) {
        let (version, pid) = (env!("CARGO_PKG_VERSION"), std::process::id());
        let services = self.stored.config.services.len();
        let text = format!("the agent runs: version {version}, pid {pid}, {services} services");
        self.journal.record(News::new(Level::Info, EventKind::Start, "", text));
    }

    /// Tells that the agent ends, and waits a little until those who follow have heard it.
    pub(super) async fn tell_end(&self) {
        let text = "the agent stops; forwarding goes on";
        self.journal.record(News::new(Level::Info, EventKind::Stop, "", text));
        self.journal.close().await;
    }

    /// Tells what became of servers, interfaces and VIPs since the last time.
    pub(super) fn tell_what_changed(&mut self) {
        let known = self.sighted();
        known.news_since(&self.known).for_each(|news| self.journal.record(news));
        self.known = known;
    }

    /// Notes whether the kernel's tables are what they should be; the beginning and the end of a problem are told.
    pub(super) fn note_problem(&mut self, problem: Option<Failure>) {
        let news = |level, text: String| News::new(level, EventKind::Problem, "", text);
        match &problem {
            Some(failure) if self.problem.as_ref() != Some(failure) => {
                let text = format!("the kernel's tables are not what they should be: {failure}");
                self.journal.record(news(Level::Error, text).with_hint(failure.hint.clone()));
            }
            None if self.problem.is_some() => {
                let text = "the kernel's tables are what they should be again".to_owned();
                self.journal.record(news(Level::Info, text));
            }
            Some(_) | None => {}
        }
        self.problem = problem;
    }

    /// Tells which differences a change of the configuration made, and who asked for it.
    pub(super) fn tell_change(&self, differences: &[Difference], origin: Origin) {
        if differences.is_empty() {
            return;
        }
        let text = match differences.len() {
            1 => "the configuration changed".to_owned(),
            many => format!("the configuration changed in {many} points"),
        };
        let news = News::new(Level::Info, EventKind::Change, "", text);
        self.journal.record(news.with_lines(differences.iter().map(ToString::to_string)).by(origin));
    }

    /// Tells that a change failed that was stored already, and what became of it.
    pub(super) fn tell_failure(&self, failure: &Failure, origin: Origin) {
        let text = format!("a change failed: {}", failure.message);
        self.journal.record(News::new(Level::Error, EventKind::Change, "", text).by(origin));
    }
}
