//! What a guest is given: `lb-ctl`, the program tests, the libraries they need, busybox, and the script that runs them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::command::{self, find, output, say};
use super::newc::Newc;

const INIT: &str = include_str!("init.sh");
const KINDS: &str = include_str!("kinds.sh");

/// The programs under test, as they were built on this machine.
pub(super) struct Payload {
    lb_ctl: PathBuf,
    program_tests: PathBuf,
    ip: PathBuf,
    ethtool: PathBuf,
    libraries: BTreeSet<PathBuf>,
}

impl Payload {
    /// Builds `lb-ctl` and the program tests.
    pub(super) fn build() -> Result<Self> {
        let lb_ctl = cargo(&["build", "--package", "lb-ctl"], "lb-ctl")?;
        let program_tests =
            cargo(&["test", "--package", "lb-tests", "--test", "program", "--no-run"], "program")?;
        let ip = find("ip").context("ip is not there")?;
        let ethtool = find("ethtool").context("ethtool is not there")?;
        let mut libraries = BTreeSet::new();
        for program in [&lb_ctl, &program_tests, &ip, &ethtool] {
            libraries.extend(self::libraries(program)?);
        }
        Ok(Self { lb_ctl, program_tests, ip, ethtool, libraries })
    }

    /// The guest's whole file system, with the kernel's `modules`.
    pub(super) fn initramfs(&self, modules: &[PathBuf]) -> Result<Newc> {
        let busybox = find("busybox").context("busybox is not there")?;
        let mut archive = Newc::default();
        for directory in ["proc", "sys", "dev", "run", "tmp", "var/lib"] {
            archive.directory(directory);
        }
        archive.file("init", INIT.as_bytes());
        archive.copy("bin/busybox", &busybox)?;
        archive.copy("bin/lb-ctl", &self.lb_ctl)?;
        archive.copy("bin/program-tests", &self.program_tests)?;
        // Busybox has an `ip` of its own, which does not show XDP programs, as the tests want.
        archive.copy("bin/ip", &self.ip)?;
        archive.copy("sbin/ip", &self.ip)?;
        archive.copy("bin/ethtool", &self.ethtool)?;
        archive.file("kinds.sh", KINDS.as_bytes());
        let mut order = String::new();
        for module in modules {
            let name = module.file_name().unwrap_or_default().to_string_lossy();
            archive.copy(&format!("lib/modules/{name}"), module)?;
            order.extend([&*name, "\n"]);
        }
        archive.file("lib/modules/order", order.as_bytes());
        for library in &self.libraries {
            archive.copy(&library.to_string_lossy(), library)?;
        }
        Ok(archive)
    }
}

/// Builds with cargo and gives the executable of the target `name`.
fn cargo(arguments: &[&str], name: &str) -> Result<PathBuf> {
    say(&format!("$ cargo {}", arguments.join(" ")));
    let messages = output(command::cargo(arguments).arg("--message-format=json-render-diagnostics"))?;
    executable(&messages, name).with_context(|| format!("cargo built no executable {name}"))
}

/// The executable of the target `name` in cargo's `messages`, one JSON object a line.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    artifacts
        .filter(|artifact| artifact.pointer("/target/name").and_then(|value| value.as_str()) == Some(name))
        .filter_map(|artifact| artifact.get("executable")?.as_str().map(PathBuf::from))
        .next_back()
}

/// The shared libraries of `program`, the loader among them, as ldd(1) finds them.
fn libraries(program: &Path) -> Result<BTreeSet<PathBuf>> {
    Ok(paths(&output(Command::new("ldd").arg(program))?))
}

fn paths(ldd: &str) -> BTreeSet<PathBuf> {
    ldd.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_and_each_library_are_taken_but_not_the_vdso() {
        let ldd = "\tlinux-vdso.so.1 (0x00007f66db5c6000)\n\
                   \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f66db01e000)\n\
                   \t/lib64/ld-linux-x86-64.so.2 (0x00007f66db5c8000)\n";
        let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(paths(ldd), BTreeSet::from(expected));
    }

    #[test]
    fn the_executable_of_the_named_target_is_taken() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"lb-ctl"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"lb-ctl"},"executable":"/target/debug/lb-ctl"}
{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/target/debug/other"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "lb-ctl"), Some(PathBuf::from("/target/debug/lb-ctl")));
        assert_eq!(executable(messages, "absent"), None);
    }
}
