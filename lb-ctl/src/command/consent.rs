//! What goes with a change: why it is made, and that what hurts is meant.

use super::client;
use crate::api::{Change, ChangeRequest, Changed, Failure, FailureKind, Terms};
use crate::cli::Global;
use crate::render;
use anyhow::{Context, Result};
use clap::Args;
use std::env;
use std::io::{self, IsTerminal};

/// Options of every command that changes something.
#[derive(Clone, Debug, Default, Args)]
pub struct Consent {
    /// Do it even if it cuts live connections or removes a service
    #[arg(long)]
    yes: bool,
    /// Show what it would change and cut, and change nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
}

impl Consent {
    /// Sends a change and tells what came of it. What hurts shows its plan and asks; without a terminal it is refused.
    pub(super) async fn change(&self, global: &Global, change: Change) -> Result<()> {
        self.change_at(global, change, false).await
    }

    /// The same; with `now`, servers that leave are not drained but cut.
    pub(super) async fn change_at(&self, global: &Global, change: Change, now: bool) -> Result<()> {
        let terms = Terms {
            command: Some(typed()),
            message: self.message.clone(),
            dry_run: self.dry_run,
            confirmed: self.yes,
            now,
            expect: None,
        };
        let mut request = ChangeRequest { terms, change };
        let refused = match client(global).change(&request).await {
            Ok(changed) => return self.show(global, &changed),
            Err(refused) => refused,
        };
        let plan = match &refused {
            Failure { kind: FailureKind::Unconfirmed, plan: Some(plan), .. } if !global.json => plan,
            _ => return Err(refused.into()),
        };
        render::text(&render::change::plan(plan))?;
        if !ask(&refused)? {
            return Err(refused.into());
        }
        request.terms.confirmed = true;
        request.terms.expect = Some(plan.revision);
        let changed = client(global).change(&request).await?;
        render::text(&render::change::outcome(&changed))
    }

    fn show(&self, global: &Global, changed: &Changed) -> Result<()> {
        let text = if self.dry_run { render::change::plan } else { render::change::changed };
        render::show(global.json, changed, text)
    }
}

/// Asks on the terminal; where there is none, nobody agrees.
fn ask(refused: &Failure) -> Result<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(false);
    }
    render::prompt(&render::change::question(refused))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// The command line, as a shell would read it again.
fn typed() -> String {
    shell_words::join(env::args().skip(1))
}
