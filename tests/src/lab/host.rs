//! A machine of the lab: a network namespace, a directory, and what runs there.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::child::ChildGuard;
use super::lb_ctl;
use super::netns::Netns;
use super::wait::wait_for;

/// No command of a test takes longer; one that hangs becomes an error and not a hanging test run.
const COMMAND_DEADLINE: Duration = Duration::from_mins(2);

/// A machine of the lab. Clones are the same machine; the [`super::Lab`] owns it.
#[derive(Debug, Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    netns: Netns,
    directory: PathBuf,
    files: AtomicU32,
}

impl Host {
    /// Makes the namespace and its directory, brings `lo` up and sets what every machine of a lab has in common.
    pub(super) fn create(name: &str, netns_name: &str, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let netns = Netns::create(netns_name)?;
        let (name, directory) = (name.to_owned(), directory.to_owned());
        let host = Self { inner: Arc::new(Inner { name, netns, directory, files: AtomicU32::new(0) }) };
        for scope in ["all", "default"] {
            host.sysctl(&format!("net/ipv4/conf/{scope}/rp_filter"), "0")?;
            host.sysctl(&format!("net/ipv4/conf/{scope}/send_redirects"), "0")?;
            host.sysctl(&format!("net/ipv6/conf/{scope}/accept_dad"), "0")?;
            host.sysctl(&format!("net/ipv6/conf/{scope}/accept_ra"), "0")?;
            host.sysctl(&format!("net/ipv6/conf/{scope}/router_solicitations"), "0")?;
        }
        host.ip("link set lo up")?;
        Ok(host)
    }

    /// The name inside the lab.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The name of its namespace, as `ip netns` shows it.
    pub fn netns(&self) -> &str {
        &self.inner.netns.name
    }

    /// The path of its namespace, for `nsenter --net=`.
    pub fn netns_path(&self) -> PathBuf {
        super::netns::path(self.netns())
    }

    /// Its own directory: logs, configuration files, sockets, the BPF file system. Gone with the lab.
    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }

    /// Runs a program to its end inside the machine; whatever its exit code.
    ///
    /// # Errors
    /// It cannot be started, or runs longer than two minutes.
    pub fn output<S: AsRef<str>>(&self, argv: &[S]) -> Result<Output> {
        let run = self.inner.files.fetch_add(1, Ordering::Relaxed);
        let out = self.directory().join(format!("run-{run}.out"));
        let err = self.directory().join(format!("run-{run}.err"));
        // Files and not pipes: a daemon that the program leaves behind would hold a pipe open.
        let mut guard = self.start(argv, &out, &err)?;
        let what = format!("the end of `{}`", guard.command);
        let status = wait_for(COMMAND_DEADLINE, &what, || guard.child.try_wait().ok().flatten())?;
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let output = Output { status, stdout: read(&out)?, stderr: read(&err)? };
        for path in [&out, &err] {
            fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(output)
    }

    /// Runs a program that has to succeed; gives what it wrote to its standard output.
    ///
    /// # Errors
    /// As [`Host::output`], and when its exit code is not 0; the error holds what it wrote.
    pub fn run<S: AsRef<str>>(&self, argv: &[S]) -> Result<String> {
        let output = self.output(argv)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if !output.status.success() {
            let (command, status) = (command_line(argv), output.status);
            let written = [text(&output.stderr), text(&output.stdout)].join("\n");
            bail!("`{command}` on {}: {status}\n{}", self.name(), written.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts a program that runs until the guard is dropped; both outputs go to `NAME.log` in the directory.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn<S: AsRef<str>>(&self, name: &str, argv: &[S]) -> Result<ChildGuard> {
        let log = self.directory().join(format!("{name}.log"));
        self.start(argv, &log, &log)
    }

    /// Runs `work` on a thread of this process that is inside the machine's network.
    ///
    /// Sockets stay in the network where they were made, so they may be handed out.
    ///
    /// # Errors
    /// The thread cannot enter the namespace.
    ///
    /// # Panics
    /// When `work` does.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let inside = || self.inner.netns.enter().map(|()| work());
        let result = std::thread::scope(|scope| scope.spawn(inside).join());
        let result = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        result.with_context(|| format!("cannot enter {}", self.name()))
    }

    /// Sets `/proc/sys/KEY` of this machine; `key` with slashes.
    ///
    /// # Errors
    /// The key is unknown or refuses the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(key);
        self.within(|| fs::write(&path, value))?
            .with_context(|| format!("cannot set {key} to {value} on {}", self.name()))
    }

    /// Runs `ip` with the words of `line`.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn ip(&self, line: &str) -> Result<String> {
        let argv: Vec<&str> = std::iter::once("ip").chain(line.split_whitespace()).collect();
        self.run(&argv)
    }

    fn start<S: AsRef<str>>(&self, argv: &[S], out: &Path, err: &Path) -> Result<ChildGuard> {
        let (program, arguments) = argv.split_first().ok_or_else(|| anyhow!("an empty command"))?;
        let mut command = Command::new(program.as_ref());
        command.args(arguments.iter().map(AsRef::as_ref)).current_dir(self.directory());
        command.stdin(Stdio::null()).stdout(append(out)?).stderr(append(err)?);
        command.envs(lb_ctl::environment(self.directory()));
        // Ctrl-C is for the process that owns the lab; it ends what it started in order.
        command.process_group(0);
        let netns = self.inner.netns.try_clone()?;
        // SAFETY: between fork and exec this only makes the system call setns and allocates nothing.
        unsafe { command.pre_exec(move || netns.enter()) };
        let command_line = command_line(argv);
        let child = command.spawn();
        let child = child.with_context(|| format!("cannot start `{command_line}` on {}", self.name()))?;
        Ok(ChildGuard { child, log: out.to_owned(), command: command_line })
    }
}

fn append(path: &Path) -> Result<File> {
    let file = File::options().create(true).append(true).open(path);
    file.with_context(|| format!("cannot open {}", path.display()))
}

fn command_line<S: AsRef<str>>(argv: &[S]) -> String {
    argv.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ")
}
