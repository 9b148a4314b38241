//! What `lb-ctl upgrade` came to: no agent says it, but programs read it like what one says.

use serde::{Deserialize, Serialize};

/// What an upgrade of the program came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum UpgradeOutcome {
    /// There was nothing to do.
    Current,
    /// The program was replaced.
    Replaced {
        /// On these interfaces.
        interfaces: Vec<String>,
    },
    /// The program was replaced, and the tables are of another schema.
    Migrated {
        /// The schema before.
        from: u32,
        /// The schema now.
        to: u32,
        /// The interfaces of the program.
        interfaces: Vec<String>,
        /// How long packets of unknown flows waited, in microseconds.
        hold_us: u64,
    },
}
