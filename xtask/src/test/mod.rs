//! `cargo xtask test`: every check and every test, in layers; a summary at the end.

mod layers;
mod report;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::build;
use crate::command::say;
use crate::setup::{self, Purpose};
use layers::Layer;
use report::{Report, Row, Tests};

/// What `cargo xtask test` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Also what is slow: the kernels, and longer runs of the tests
    #[arg(long)]
    full: bool,
    /// Only these layers
    #[arg(value_enum, value_name = "LAYER")]
    layers: Vec<Layer>,
}

/// Runs the layers, all of them whatever fails; the code says whether one did.
///
/// # Errors
/// There is none that is not in the summary already, but for an impossible request.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let layers = options.chosen();
    if layers.iter().any(|layer| layer.needs_root()) && !setup::is_root() {
        bail!(
            "cannot load programs and make namespaces: not root\nhint:  run it with sudo, or name the layers that do without: fmt clippy doc tidy unit"
        );
    }
    let mut report = Report::default();
    report.add(Row { is_check: false, ..announced("prepare", |_| prepare(&layers)) });
    if report.is_good() {
        for layer in layers {
            report.add(announced(layer.name(), |tests| layer.run(options.full, tests)));
        }
    }
    report.print();
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Options {
    fn chosen(&self) -> Vec<Layer> {
        let all = Layer::ALL.into_iter();
        if self.layers.is_empty() {
            return all.filter(|layer| self.full || *layer != Layer::Kernels).collect();
        }
        all.filter(|layer| self.layers.contains(layer)).collect()
    }
}

fn prepare(layers: &[Layer]) -> Result<()> {
    let mut purposes: Vec<Purpose> = layers.iter().flat_map(|layer| layer.purposes()).copied().collect();
    purposes.dedup();
    setup::ensure(&purposes)?;
    if purposes.contains(&Purpose::Build) { build::programs() } else { Ok(()) }
}

fn announced(name: &'static str, work: impl FnOnce(&mut Option<Tests>) -> Result<()>) -> Row {
    say(&format!("\n=== {name}"));
    let (row, result) = measured(name, work);
    if let Err(error) = result {
        say(&format!("{name} failed: {error:#}"));
    }
    row
}

fn measured(name: &'static str, work: impl FnOnce(&mut Option<Tests>) -> Result<()>) -> (Row, Result<()>) {
    let start = Instant::now();
    let mut tests = None;
    let result = work(&mut tests);
    (Row { name, tests, is_check: true, failed: result.is_err(), took: start.elapsed() }, result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_run_when_asked_for_and_layers_keep_their_order() {
        let chosen = |full, layers: &[Layer]| Options { full, layers: layers.to_vec() }.chosen();
        assert!(!chosen(false, &[]).contains(&Layer::Kernels));
        assert_eq!(chosen(true, &[]), Layer::ALL);
        assert_eq!(chosen(false, &[Layer::Kernels, Layer::Fmt]), [Layer::Fmt, Layer::Kernels]);
    }

    #[test]
    fn a_layer_that_fails_is_told_in_its_row() {
        let (row, result) = measured("unit", |_| bail!("no"));
        assert!(row.failed && result.is_err());
        let (row, _) = measured("unit", |_| Ok(()));
        assert!(!row.failed);
    }
}
