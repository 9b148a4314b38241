//! `cargo xtask`: what a person or CI does with this repository, one subcommand each.

mod bench;
mod build;
mod command;
mod demo;
mod kernels;
mod setup;
mod test;
mod tidy;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", about, long_about = None)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the XDP programs and put them where lb-ctl embeds them
    BuildEbpf,
    /// Install what is missing for building, the demo, the tests and the bench
    Setup(setup::Options),
    /// Show the main job on real traffic, in network namespaces
    Demo(demo::Options),
    /// Check and test everything, or the layers that are named
    Test(test::Options),
    /// Measure the packet path, beside yardsticks, and the control plane
    Bench(bench::Options),
    /// Check the invariants of the tree that a machine can check
    Tidy,
    /// Run the programs on other kernels, in QEMU
    Kernels {
        /// Versions of Debian's kernels, such as 6.1
        versions: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            command::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<ExitCode> {
    match task {
        Task::BuildEbpf => build::programs()?,
        Task::Setup(options) => setup::run(options)?,
        Task::Demo(options) => demo::run(options)?,
        Task::Test(options) => return test::run(options),
        Task::Bench(options) => bench::run(options)?,
        Task::Tidy => tidy::run()?,
        Task::Kernels { versions } => {
            build::programs()?;
            kernels::run(versions, &mut |_| ())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
