//! Rounds of a measurement, and what is said of them.

/// What the rounds of one row came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) runs: usize,
}

/// Of `rounds`, at least one.
pub(crate) fn summary(mut rounds: Vec<f64>) -> Option<Summary> {
    rounds.sort_by(f64::total_cmp);
    let middle = rounds.len() / 2;
    let median = if rounds.len().is_multiple_of(2) {
        f64::midpoint(*rounds.get(middle.checked_sub(1)?)?, *rounds.get(middle)?)
    } else {
        *rounds.get(middle)?
    };
    Some(Summary { median, min: *rounds.first()?, max: *rounds.last()?, runs: rounds.len() })
}
