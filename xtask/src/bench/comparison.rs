//! `cargo xtask bench --against OBJECT`: what a change does to a packet.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::number;

/// How an object of programs begins.
const MAGIC: &[u8] = b"\x7fELF";

/// The object at `path`, from wherever the benches run.
///
/// # Errors
/// It is not there, or no object.
pub(super) fn object(path: &Path) -> Result<PathBuf> {
    let context = || format!("cannot compare with {}", path.display());
    let bytes = fs::read(path).with_context(context)?;
    ensure!(bytes.starts_with(MAGIC), "cannot compare with {}: it is no object", path.display());
    path.canonicalize().with_context(context)
}

/// A line of the terminal's table; `None` if something is missing.
pub(super) fn shown(row: &Value) -> Option<String> {
    let number = |key: &str| row.get(key)?.as_f64();
    let (built, other, difference) = (number("built")?, number("other")?, number("median")?);
    let verdict = match (row.get("beyond_noise")?.as_bool()?, difference < 0.0) {
        (false, _) => "no difference beyond noise",
        (true, true) => "faster",
        (true, false) => "slower",
    };
    let percent = 100.0 * difference / other;
    let [built, other, noise] = [built, other, number("noise")?].map(number::shown);
    let [low, high] = [number("low")?, number("high")?].map(number::signed);
    let difference = number::signed(difference);
    Some(format!(
        "{:20} {built:>6} ns, other {other:>6} ns: {difference:>6} ns ({percent:+.1} %), half of them {low} .. {high}, \
         noise {noise}: {verdict}",
        row.get("row")?.as_str()?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(median: f64, beyond: bool) -> Value {
        json!({"row": "pass-v4-tcp", "unit": "ns", "median": median, "min": -9.5, "max": 7.0, "runs": 75,
            "built": 30.0, "other": 32.0, "low": -2.5, "high": 1.0, "noise": 0.25, "beyond_noise": beyond})
    }

    #[test]
    fn a_line_says_which_one_is_faster_or_that_none_is() {
        assert_eq!(
            shown(&row(-2.0, true)).unwrap(),
            "pass-v4-tcp            30.0 ns, other   32.0 ns:  -2.00 ns (-6.2 %), half of them -2.50 .. +1.00, \
             noise 0.250: faster"
        );
        assert!(shown(&row(2.0, true)).unwrap().ends_with(": slower"));
        assert!(shown(&row(-2.0, false)).unwrap().ends_with(": no difference beyond noise"));
        assert_eq!(shown(&json!({"row": "x"})), None);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let said = |path: &str| format!("{:#}", object(Path::new(path)).unwrap_err());
        assert_eq!(
            said("/nowhere/director.o"),
            "cannot compare with /nowhere/director.o: No such file or directory (os error 2)"
        );
        assert_eq!(said("/proc/self/stat"), "cannot compare with /proc/self/stat: it is no object");
    }
}
