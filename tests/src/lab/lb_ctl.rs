//! Running `lb-ctl` on a machine of the lab.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::Host;

/// The name of the BPF file system's directory below a host's own.
pub(super) const BPFFS: &str = "bpf";

/// Where `lb-ctl` keeps what it has on a host with this directory: its pins, its store and its socket.
pub(super) fn environment(directory: &Path) -> [(&'static str, PathBuf); 3] {
    [
        ("LB_BPFFS", directory.join(BPFFS)),
        ("LB_STATE_DIR", directory.join("state")),
        ("LB_SOCKET", directory.join("agent.sock")),
    ]
}

/// The `lb-ctl` to test: `$LB_CTL`, else the one beside or above the running executable in the target directory.
///
/// # Errors
/// There is none; the error says what builds it.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = env::var_os("LB_CTL") {
        return Ok(path.into());
    }
    let own = env::current_exe().context("cannot find the running executable")?;
    let places = own.ancestors().skip(1).take(2).map(|directory| directory.join("lb-ctl"));
    match places.into_iter().find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!("no lb-ctl near {}\nhint:  `cargo build -p lb-ctl` builds it", own.display()),
    }
}

impl Host {
    /// Runs `lb-ctl` with these arguments; whatever its exit code.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn lb_ctl_output<S: AsRef<str>>(&self, arguments: &[S]) -> Result<Output> {
        self.output(&lb_ctl_argv(arguments)?)
    }

    /// Runs `lb-ctl`, which has to succeed; gives its standard output.
    ///
    /// # Errors
    /// It cannot be started or fails.
    pub fn lb_ctl<S: AsRef<str>>(&self, arguments: &[S]) -> Result<String> {
        self.run(&lb_ctl_argv(arguments)?)
    }

    /// As [`Host::lb_ctl`] with the words of `line`.
    ///
    /// # Errors
    /// As [`Host::lb_ctl`].
    pub fn lb(&self, line: &str) -> Result<String> {
        self.lb_ctl(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Writes a script that runs its arguments on this machine as the lab would; gives its path.
    ///
    /// # Errors
    /// It cannot be written, or there is no `lb-ctl`.
    pub fn write_entrance(&self) -> Result<PathBuf> {
        let path = self.directory().with_file_name(format!("on-{}", self.name()));
        let tools = binary()?.parent().map(Path::to_owned).unwrap_or_default();
        let variables =
            environment(self.directory()).map(|(name, value)| format!("{name}='{}'", value.display()));
        let (variables, tools, netns) = (variables.join(" "), tools.display(), self.netns_path());
        let script = format!(
            "#!/bin/sh\nexec env {variables} PATH=\"{tools}:$PATH\" nsenter --net={} -- \"$@\"\n",
            netns.display()
        );
        fs::write(&path, script)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// Mounts a BPF file system on the new directory `target`.
pub(super) fn mount_bpffs(target: &Path) -> Result<()> {
    fs::create_dir_all(target).with_context(|| format!("cannot make {}", target.display()))?;
    // Without a mode everybody may write there, which an agent refuses.
    mount(Some("bpf"), target, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
        .with_context(|| format!("cannot mount a BPF file system on {}", target.display()))
}

/// Unmounts every BPF file system of the lab in `directory`, which also frees what is pinned there.
pub(super) fn unmount_all(directory: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
    for target in targets.filter(|target| target.starts_with(directory)) {
        umount2(target, MntFlags::MNT_DETACH)
            .with_context(|| format!("cannot unmount {}", target.display()))?;
    }
    Ok(())
}

fn lb_ctl_argv<S: AsRef<str>>(arguments: &[S]) -> Result<Vec<String>> {
    let program = binary()?.into_os_string();
    let Ok(program) = program.into_string() else { bail!("the path of lb-ctl is not UTF-8") };
    let arguments = arguments.iter().map(|argument| argument.as_ref().to_owned());
    Ok(std::iter::once(program).chain(arguments).collect())
}
