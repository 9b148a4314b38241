//! What the benches report: rows of rounds, one line of JSON each, which `cargo xtask bench` reads.

use std::io::{Write as _, stdout};

use anyhow::{Context as _, Result};
use serde_json::json;

/// A row of the bench's table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Of its values: `ns`, `ms`, `pps` and the like.
    pub unit: &'static str,
    /// What the rounds came to.
    pub summary: Summary,
}

/// What is done with each row as soon as it is there.
pub type Sink<'s> = &'s mut dyn FnMut(Row) -> Result<()>;

/// What the rounds of one row came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The middle one.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// How many there were.
    pub runs: usize,
}

/// The row `name` of `rounds`, in `unit`.
///
/// # Errors
/// There are no rounds.
pub fn row(name: &str, unit: &'static str, rounds: Vec<f64>) -> Result<Row> {
    let summary = summary(rounds).with_context(|| format!("{name}: no rounds"))?;
    Ok(Row { name: name.to_owned(), unit, summary })
}

/// Writes `row` as one line of JSON to the standard output.
///
/// # Errors
/// The standard output is closed.
pub fn print(row: &Row) -> Result<()> {
    let Row { name, unit, summary: Summary { median, min, max, runs } } = row;
    let line = json!({"row": name, "unit": unit, "median": median, "min": min, "max": max, "runs": runs});
    writeln!(stdout(), "{line}").context("cannot write a row")
}

fn summary(mut rounds: Vec<f64>) -> Option<Summary> {
    rounds.sort_by(f64::total_cmp);
    let middle = rounds.len() / 2;
    let median = if rounds.len().is_multiple_of(2) {
        f64::midpoint(*rounds.get(middle.checked_sub(1)?)?, *rounds.get(middle)?)
    } else {
        *rounds.get(middle)?
    };
    Some(Summary { median, min: *rounds.first()?, max: *rounds.last()?, runs: rounds.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_one_round_or_between_two() {
        let of = |rounds: &[f64]| row("x", "ns", rounds.to_vec()).map(|row| row.summary);
        let odd = Summary { median: 2.0, min: 1.0, max: 9.0, runs: 3 };
        assert_eq!(of(&[9.0, 1.0, 2.0]).unwrap(), odd);
        assert_eq!(of(&[4.0, 1.0, 2.0, 9.0]).unwrap().median.to_bits(), 3.0_f64.to_bits());
        assert_eq!(of(&[]).unwrap_err().to_string(), "x: no rounds");
    }
}
