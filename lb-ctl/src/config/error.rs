//! Why a configuration, or a change of it, is refused.

use crate::api::{Failure, FailureKind};

/// A configuration or change that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default())]
pub struct ConfigError {
    /// Where: `lb.toml:12`, `service[2].port`, or nothing when the message says it.
    pub place: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What can be done.
    pub hint: Option<String>,
    /// What kind of failure it is for the one who asked.
    pub kind: FailureKind,
}

impl ConfigError {
    /// What was asked for is wrong in itself.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Usage, message)
    }

    /// Something that was named does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(FailureKind::NotFound, message)
    }

    /// It collides with what is there.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Conflict, message)
    }

    fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { place: None, message: message.into(), hint: None, kind }
    }

    /// The same, found at `place`.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// The same, with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self { hint: error.hint.clone(), ..Self::new(error.kind, error.to_string()) }
    }
}
