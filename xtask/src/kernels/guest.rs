//! One virtual machine: boots, is listened to, and ends by itself or at the deadline.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Without hardware support a guest boots in 10 s, and takes 2 to 4 s for each of the program tests' loads where the
/// host takes 0.1 s; a busy host doubles that.
const DEADLINE: Duration = Duration::from_mins(25);

/// What stands at the end of the console of a guest that was ended at the deadline.
const TOO_LONG: &str = "the guest ran for more than 25 minutes and was ended\n";

/// Boots `kernel` with `initramfs` and gives what it printed; the same goes to the file `log`.
///
/// At the deadline the guest is ended, and its last line says so.
pub(super) fn boot(kernel: PathBuf, initramfs: &Path, log: &Path) -> Result<String> {
    let mut qemu = start(kernel, initramfs)?;
    let stdout = qemu.stdout.take().context("QEMU has no output")?;
    let console = listen(&lines(stdout), log);
    let in_time = console.as_ref().is_ok_and(|console| !console.ends_with(TOO_LONG));
    if !in_time {
        qemu.kill().context("cannot end QEMU")?;
    }
    let status = qemu.wait().context("cannot wait for QEMU")?;
    if in_time && !status.success() {
        bail!("QEMU failed: {status}");
    }
    console
}

/// Software emulation, because nested virtualisation is not to be had on the machines that test this. A panic of the
/// guest ends it, which `-no-reboot` turns into the end of QEMU.
fn start(kernel: PathBuf, initramfs: &Path) -> Result<Child> {
    Command::new("qemu-system-x86_64")
        .args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024"])
        .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"])
        .args(["-append", "console=ttyS0 quiet panic=-1"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initramfs)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start qemu-system-x86_64")
}

fn lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn listen(lines: &Receiver<String>, log: &Path) -> Result<String> {
    let mut file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let end = Instant::now() + DEADLINE;
    let mut console = String::new();
    loop {
        let line = match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => format!("{line}\n"),
            Err(RecvTimeoutError::Timeout) => TOO_LONG.to_owned(),
            Err(RecvTimeoutError::Disconnected) => return Ok(console),
        };
        file.write_all(line.as_bytes()).with_context(|| format!("cannot write {}", log.display()))?;
        console.push_str(&line);
        if line == TOO_LONG {
            return Ok(console);
        }
    }
}
