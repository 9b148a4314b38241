//! Whose the agent's places are: whoever else may write there could make a privileged agent do what they want.
//!
//! A place that does not exist yet is made by the agent, with the right mode; nothing is mended here.

use super::Options;
use crate::api::Failure;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, Group, Uid, User, faccessat, geteuid};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What of the state directory is read or written by its name.
const STATE: [&str; 5] = ["store.json", "store.json.new", "revisions", "agent.pid", "agent.log"];
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// Refuses places that others have, or that others may write to, or that this process may not write to.
///
/// # Errors
///
/// The first of them, with the command that mends it.
pub(super) fn check(options: &Options) -> Result<(), Failure> {
    let group = options.socket_group.as_deref().and_then(|name| Group::from_name(name).ok().flatten());
    let socket = options.socket.parent().filter(|directory| !directory.as_os_str().is_empty());
    let socket = socket.unwrap_or(Path::new("."));
    check_state(&options.state_dir)?;
    check_place(socket, group.map(|group| group.gid.as_raw()))?;
    check_place(&options.bpffs, None)?;
    let places = [("--state-dir", &*options.state_dir), ("--socket", socket), ("--bpffs", &options.bpffs)];
    places.into_iter().try_for_each(|(option, place)| check_writable(place, option))
}

/// Refuses a state directory, and files in it, that others have or may write to.
///
/// # Errors
///
/// The first of them, with the command that mends it.
pub(crate) fn check_state(directory: &Path) -> Result<(), Failure> {
    check_place(directory, None)?;
    STATE.iter().map(|name| directory.join(name)).try_for_each(|path| {
        let Ok(file) = fs::symlink_metadata(&path) else { return Ok(()) };
        if file.file_type().is_symlink() {
            return Err(distrust(&path, "it is a symbolic link").with_hint(format!(
                "put what it leads to in its place, or name its directory with --state-dir; `rm {}` removes the link",
                path.display()
            )));
        }
        judge(&path, &file, geteuid(), None)
    })
}

fn check_place(directory: &Path, writers: Option<u32>) -> Result<(), Failure> {
    // What cannot be looked at cannot be used either, which is told where it is used.
    fs::metadata(directory).map_or(Ok(()), |found| judge(directory, &found, geteuid(), writers))
}

/// Whether an agent of `own` may rely on a file: that its owner is trusted, and nobody else may write to it but the group
/// `writers`.
fn judge(path: &Path, file: &Metadata, own: Uid, writers: Option<u32>) -> Result<(), Failure> {
    let (owner, mode, shown) = (Uid::from_raw(file.uid()), file.mode(), path.display());
    if !(owner.is_root() || owner == own) {
        let problem = format!("it belongs to {}, neither root nor the agent's own user", name(owner));
        return Err(distrust(path, &problem)
            .with_hint(format!("after a look at what is there, `chown {} {shown}`", name(own))));
    }
    let group_may = mode & GROUP_WRITES != 0 && writers != Some(file.gid());
    let who = match (group_may, mode & OTHERS_WRITE != 0) {
        (_, true) => "everybody",
        (true, false) => "its group",
        (false, false) => return Ok(()),
    };
    let problem = format!("its mode {:04o} lets {who} write to it", mode & 0o7777);
    let whom = if group_may { "go" } else { "o" };
    Err(distrust(path, &problem)
        .with_hint(format!("after a look at what is there, `chmod {whom}-w {shown}`")))
}

fn distrust(path: &Path, problem: &str) -> Failure {
    Failure::failed(format!("cannot run the agent: {} is not safe: {problem}", path.display()))
}

fn check_writable(place: &Path, option: &str) -> Result<(), Failure> {
    let existing = place.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let wanted = AccessFlags::W_OK | AccessFlags::X_OK;
    faccessat(AT_FDCWD, existing, wanted, AtFlags::AT_EACCESS).map_err(|error| {
        let (shown, own) = (existing.display(), name(geteuid()));
        let hint = if error == Errno::EROFS {
            "a unit makes it so: ReadWritePaths= names what stays writable, and ProtectKernelTunables= takes /sys/fs/bpf"
                .to_owned()
        } else {
            format!("`chown {own} {shown}` gives it to the agent's user, {option} names another place")
        };
        Failure::failed(format!("cannot run the agent: cannot write in {shown}: {}", error.desc()))
            .with_hint(hint)
    })
}

/// The name of a user, or its number if it has none.
fn name(user: Uid) -> String {
    User::from_uid(user).ok().flatten().map_or_else(|| format!("user {user}"), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{DirBuilder, File, Permissions, set_permissions};
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};

    #[test]
    fn who_may_write_is_trusted_or_named_with_the_command_that_mends_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let gid = fs::metadata(path).unwrap().gid();
        let rows = [
            (0o700, None, None),
            (0o755, None, None),
            (0o770, Some(gid), None),
            (0o770, None, Some(("mode 0770 lets its group", "chmod go-w"))),
            (0o770, Some(gid + 1), Some(("mode 0770 lets its group", "chmod go-w"))),
            (0o777, Some(gid), Some(("mode 0777 lets everybody", "chmod o-w"))),
            (0o1777, None, Some(("mode 1777 lets everybody", "chmod go-w"))),
        ];
        for (mode, writers, want) in rows {
            set_permissions(path, Permissions::from_mode(mode)).unwrap();
            let failure = check_place(path, writers).err();
            assert_eq!(failure.is_some(), want.is_some(), "{mode:o} {failure:?}");
            let Some((failure, (problem, command))) = failure.zip(want) else { continue };
            assert!(failure.message.contains(problem), "{failure}");
            assert!(failure.hint.unwrap().contains(&format!("`{command} {}`", path.display())));
        }
        check_place(&path.join("missing"), None).unwrap();
    }

    #[test]
    fn what_belongs_to_a_third_is_refused_and_what_is_roots_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let found = fs::metadata(directory.path()).unwrap();
        let owner = Uid::from_raw(found.uid());
        judge(directory.path(), &found, owner, None).unwrap();
        let stranger = judge(directory.path(), &found, Uid::from_raw(owner.as_raw() + 1), None);
        assert_eq!(stranger.is_ok(), owner.is_root(), "{stranger:?}");
    }

    #[test]
    fn a_link_in_the_place_of_the_store_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        DirBuilder::new().mode(0o750).create(&path).unwrap();
        File::create(path.join("agent.log")).unwrap();
        set_permissions(path.join("agent.log"), Permissions::from_mode(0o640)).unwrap();
        check_state(&path).unwrap();
        symlink("/etc/passwd", path.join("store.json")).unwrap();
        let failure = check_state(&path).unwrap_err();
        assert!(failure.message.contains("store.json is not safe: it is a symbolic link"), "{failure}");
        fs::remove_file(path.join("store.json")).unwrap();
        File::create(path.join("store.json")).unwrap();
        set_permissions(path.join("store.json"), Permissions::from_mode(0o666)).unwrap();
        assert!(check_state(&path).unwrap_err().message.contains("lets everybody write"));
    }
}
