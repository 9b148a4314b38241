//! The UNIX socket of the API: who has it, how it comes to its place, and who may use it.

use super::Failure;
use anyhow::{Context, Result};
use nix::unistd::{Gid, Group};
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

const MODE: u32 = 0o660;
const DIRECTORY_MODE: u32 = 0o755;

/// A socket that nobody else answers on. The file goes when it is dropped.
#[derive(Debug)]
pub struct Bound {
    listener: Option<net::UnixListener>,
    path: PathBuf,
    inode: u64,
    /// Held for as long as the socket is: two agents that start at once cannot both replace a stale one.
    _lock: File,
}

impl Bound {
    /// Binds `path`, mode 0660, of `group` or the group of this process. A stale socket there is replaced.
    ///
    /// # Errors
    /// Another agent has it, something else is in its place, or the operating system refuses.
    pub fn new(path: &Path, group: Option<&str>) -> Result<Self> {
        let gid = group.map(find_group).transpose()?;
        let directory = path.parent().context("the path of the socket has no directory")?;
        let made = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory);
        made.with_context(|| format!("cannot make {}", directory.display()))?;
        let lock = lock(path)?;
        refuse_if_in_use(path)?;
        let (listener, inode) =
            place(path, gid).with_context(|| format!("cannot make the socket {}", path.display()))?;
        Ok(Self { listener: Some(listener), path: path.to_owned(), inode, _lock: lock })
    }

    /// Starts to listen, in the runtime of the caller. Once only.
    ///
    /// # Errors
    /// It was called before, or there is no runtime.
    pub fn listener(&mut self) -> io::Result<UnixListener> {
        let taken = || io::Error::new(ErrorKind::AlreadyExists, "the socket is listened on already");
        UnixListener::from_std(self.listener.take().ok_or_else(taken)?)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove the socket {}: {error}", self.path.display());
        }
    }
}

fn find_group(name: &str) -> Result<Gid> {
    let group = Group::from_name(name).with_context(|| format!("cannot look up group {name}"))?;
    let group = group.ok_or_else(|| Failure::usage(format!("there is no group {name}")))?;
    Ok(group.gid)
}

fn lock(path: &Path) -> Result<File> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let context = || format!("cannot lock {}", PathBuf::from(&lock_path).display());
    let file = File::create(&lock_path).with_context(context)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(busy(path).into()),
        Err(TryLockError::Error(error)) => Err(error).with_context(context),
    }
}

fn busy(path: &Path) -> Failure {
    Failure::failed(format!("the socket {} is busy: another agent answers on it", path.display()))
        .with_hint("`lb-ctl status` shows it; `--socket` gives this one another")
}

fn refuse_if_in_use(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot look at {}", path.display())),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(Failure::failed(format!(
                "cannot make the socket {}: a file is in its place",
                path.display()
            ))
            .into());
        }
        Ok(_) => {}
    }
    match net::UnixStream::connect(path) {
        Ok(_) => Err(busy(path).into()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot tell who answers on {}", path.display())),
    }
}

/// Makes the socket in a directory that nobody else can enter, and moves it to `path` when mode and group are right.
fn place(path: &Path, gid: Option<Gid>) -> io::Result<(net::UnixListener, u64)> {
    let mut nursery = path.as_os_str().to_owned();
    nursery.push(format!(".{}", std::process::id()));
    let nursery = PathBuf::from(nursery);
    DirBuilder::new().mode(0o700).create(&nursery)?;
    let made = bind(&nursery.join("s"), path, gid);
    let removed = fs::remove_dir_all(&nursery);
    made.and_then(|made| removed.map(|()| made))
}

fn bind(young: &Path, path: &Path, gid: Option<Gid>) -> io::Result<(net::UnixListener, u64)> {
    let listener = net::UnixListener::bind(young)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(young, Permissions::from_mode(MODE))?;
    if let Some(gid) = gid {
        give(young, gid)?;
    }
    let inode = fs::symlink_metadata(young)?.ino();
    fs::rename(young, path)?;
    Ok((listener, inode))
}

/// Who is not in the group needs a privilege to give it the socket.
fn give(socket: &Path, gid: Gid) -> io::Result<()> {
    chown(socket, None, Some(gid.as_raw())).map_err(|error| {
        if error.kind() != ErrorKind::PermissionDenied {
            return error;
        }
        let needed =
            format!("giving it to group {gid} needs membership of that group, or CAP_CHOWN at the start");
        io::Error::new(error.kind(), needed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_has_its_mode_and_goes_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/agent.sock");
        let bound = Bound::new(&path, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, MODE);
        net::UnixStream::connect(&path).unwrap();
        drop(bound);
        assert!(!path.exists());
        let left: Vec<_> =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["agent.sock.lock"]);
    }

    #[test]
    fn a_second_agent_is_refused_and_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        let _first = Bound::new(&path, None).unwrap();
        let error = Bound::new(&path, None).unwrap_err().to_string();
        assert!(error.contains("is busy"), "{error}");
        net::UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_stranger_that_listens_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        let _stranger = net::UnixListener::bind(&path).unwrap();
        let error = Bound::new(&path, None).unwrap_err().to_string();
        assert!(error.contains("is busy"), "{error}");
    }

    #[test]
    fn a_stale_socket_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        drop(net::UnixListener::bind(&path).unwrap());
        let _bound = Bound::new(&path, None).unwrap();
        net::UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn what_is_no_socket_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        fs::write(&path, "precious").unwrap();
        let error = Bound::new(&path, None).unwrap_err().to_string();
        assert!(error.contains("a file is in its place"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn an_unknown_group_is_named() {
        let error = Bound::new(Path::new("/nowhere/agent.sock"), Some("no-such-group")).unwrap_err();
        assert_eq!(error.to_string(), "there is no group no-such-group");
    }
}
