//! What only `cargo xtask test --full` does, because it is slow.

use std::env;
use std::io::{Write, stderr};

/// What `xtask test --full` sets.
const VARIABLE: &str = "LB_TEST_FULL";

/// Whether slow tests were asked for; if not, the output says that the caller, the test `name`, was skipped.
///
/// # Errors
/// That cannot be said.
pub fn is_asked_for(name: &str) -> std::io::Result<bool> {
    let asked = env::var_os(VARIABLE).is_some_and(|value| value == "1");
    if !asked {
        // Straight to the stream: the harness keeps back what the macros print in a test that passes.
        writeln!(stderr(), "skipped: {name}; `cargo xtask test --full` runs it")?;
    }
    Ok(asked)
}
