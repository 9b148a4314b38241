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
        bail!("cannot load programs and make namespaces: not root\nhint:  run it with sudo, or name the layers that do without: fmt clippy doc tidy unit");
    }
    let mut report = Report::default();
    report.add(measured("prepare", |_| prepare(&layers)));
    if report.is_good() {
        for layer in layers {
            report.add(measured(layer.name(), |tests| layer.run(options.full, tests)));
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

fn measured(name: &'static str, work: impl FnOnce(&mut Option<Tests>) -> Result<()>) -> Row {
    say(&format!("\n=== {name}"));
    let start = Instant::now();
    let mut tests = None;
    let error = work(&mut tests).err();
    if let Some(error) = &error {
        say(&format!("{name} failed: {error:#}"));
    }
    Row { name, tests, failed: error.is_some(), took: start.elapsed() }
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
        let row = measured("unit", |_| bail!("no"));
        assert!(row.failed);
        assert!(!measured("unit", |_| Ok(())).failed);
    }
}
