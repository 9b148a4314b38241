//! Puts the BPF objects where `include_bytes_aligned!` finds them: lb-ctl is one self-contained binary.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

const OBJECTS: [&str; 3] = ["director.o", "decap.o", "redirects.o"];

fn main() -> ExitCode {
    match embed() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("cargo::error={problem}");
            ExitCode::FAILURE
        }
    }
}

fn embed() -> Result<(), String> {
    let variable = |name| env::var_os(name).map(PathBuf::from).ok_or_else(|| format!("{name} is not set"));
    let workspace = variable("CARGO_MANIFEST_DIR")?.parent().map(Path::to_owned).unwrap_or_default();
    let out = variable("OUT_DIR")?;
    for object in OBJECTS {
        let source = workspace.join("target/bpf").join(object);
        println!("cargo::rerun-if-changed={}", source.display());
        fs::copy(&source, out.join(object)).map_err(|error| {
            format!("cannot embed {}: {error}; run `cargo xtask build-ebpf` first", source.display())
        })?;
    }
    Ok(())
}
