//! `cargo xtask kernels`: the programs on other kernels than this machine's.
//!
//! Boots Debian's kernel in QEMU with an initramfs that holds `lb-ctl` and the program tests, and lets the guest say
//! how each step ended: `lb-ctl` attaches, takes a service and its servers, and detaches; serves by a bond, a bridge, a
//! macvlan and a VLAN device, which not every machine's own kernel has; then every program test
//! runs on that kernel's own verifier and `BPF_PROG_TEST_RUN`. Nothing of the guest reaches this machine's network.

mod apt;
mod guest;
mod image;
mod newc;
mod payload;
mod transcript;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use self::apt::Archive;
use self::image::Image;
use self::payload::Payload;
use self::transcript::Transcript;
use crate::command::{self, say};

/// The oldest kernel that the programs promise to load on.
const DEFAULT_VERSIONS: [&str; 1] = ["6.1"];

/// Programs that make the guests or are in them, with the package that holds each.
const PROGRAMS: [(&str, &str); 5] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("xz", "xz-utils"),
];

/// Runs the programs on Debian's kernels `versions` (all of [`DEFAULT_VERSIONS`] where none is named).
///
/// `see` gets each kernel's last line of the program tests, with their counts.
pub(crate) fn run(versions: &[String], see: &mut dyn FnMut(&str)) -> Result<()> {
    let directory = directory()?;
    ensure_programs(&directory)?;
    let payload = Payload::build()?;
    let versions =
        if versions.is_empty() { DEFAULT_VERSIONS.map(String::from).to_vec() } else { versions.to_vec() };
    let mut failed = Vec::new();
    for version in versions {
        let transcript = try_kernel(&directory, &version, &payload)?;
        transcript.test_results().for_each(&mut *see);
        if let Err(error) = transcript.judge() {
            say(&format!("kernel {version}: {error:#}"));
            failed.push(version);
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("the programs do not run on kernel {}", failed.join(", ")) }
}

fn directory() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no workspace around it")?;
    Ok(root.join("target/kernels"))
}

fn try_kernel(directory: &Path, version: &str, payload: &Payload) -> Result<Transcript> {
    let directory = directory.join(version);
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let image = Image::fetch(&directory, version)?;
    let initramfs = directory.join("initramfs");
    payload
        .initramfs(&image.modules())
        .and_then(|archive| fs::write(&initramfs, archive.finish()).map_err(Into::into))
        .with_context(|| format!("cannot make {}", initramfs.display()))?;
    say(&format!(
        "kernel {version} ({}): booting, the console goes to {}/console.log",
        image.package(),
        directory.display()
    ));
    let console = guest::boot(image.vmlinuz(), &initramfs, &directory.join("console.log"))?;
    let transcript = Transcript::parse(&console);
    transcript.report();
    Ok(transcript)
}

fn ensure_programs(directory: &Path) -> Result<()> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| command::find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Archive::for_programs(&directory.join("apt-programs"))?.install(&missing)
}
