//! The table at the end of a run.

use std::fmt::Write as _;
use std::time::Duration;

use super::layer::Layer;
use super::tally::Tally;

/// What came of one layer.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Which.
    pub(super) layer: Layer,
    /// Its checks or tests.
    pub(super) tally: Tally,
    /// How long it took.
    pub(super) took: Duration,
}

/// One row a layer.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut table = String::from("\nlayer    outcome   ran  failed  ignored     time\n");
    for Outcome { layer, tally, took } in outcomes {
        let word = if tally.failed == 0 { "ok" } else { "FAILED" };
        let Tally { failed, ignored, .. } = tally;
        let (ran, seconds) = (tally.ran(), took.as_secs_f64());
        // Writing into a String cannot fail.
        let _written =
            writeln!(table, "{layer:<8} {word:<7} {ran:>5} {failed:>7} {ignored:>8} {seconds:>7.1}s");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_has_its_row() {
        let outcome = |layer, failed| Outcome {
            layer,
            tally: Tally { passed: 120, failed, ignored: 3 },
            took: Duration::from_millis(61_250),
        };
        let table = table(&[outcome(Layer::Unit, 0), outcome(Layer::Network, 2)]);
        let expected = "
layer    outcome   ran  failed  ignored     time
unit     ok        120       0        3    61.2s
network  FAILED    122       2        3    61.2s
";
        assert_eq!(table, expected);
    }
}
