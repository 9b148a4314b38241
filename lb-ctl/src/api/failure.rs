//! Why the agent did not do what it was asked.

use super::Changed;
use crate::store::StoreError;
use serde::{Deserialize, Serialize};

/// What kind of failure it was: the HTTP status and the exit code follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// What was asked for is wrong in itself.
    Usage,
    /// It names something that does not exist.
    NotFound,
    /// It collides with what is there.
    Conflict,
    /// It cuts connections or removes a service, and nobody said that this is meant.
    Unconfirmed,
    /// It was right and could not be done.
    Failed,
}

/// Why a request was refused or failed. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What was being done, to what, and what stopped it.
    pub message: String,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    /// What kind of failure it was.
    pub kind: FailureKind,
    /// What the change would come to, when it wants to be confirmed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub plan: Option<Box<Changed>>,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::NoRevision { .. } => FailureKind::NotFound,
            StoreError::Lost { .. } | StoreError::Revision { .. } => FailureKind::Failed,
            StoreError::Io { .. } | StoreError::Broken { .. } | StoreError::Newer { .. } => {
                FailureKind::Failed
            }
        };
        Self { hint: error.hint(), ..Self::new(kind, error.to_string()) }
    }
}

impl Failure {
    /// A request that was right and could not be done.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Failed, message)
    }

    /// A request that is wrong in itself.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Usage, message)
    }

    /// A failure of this kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, kind, plan: None }
    }

    /// The same, with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
