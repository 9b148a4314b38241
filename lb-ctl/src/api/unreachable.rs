//! What a client says when the agent cannot be talked to.

use super::Failure;
use super::client::Client;
use nix::unistd::{Gid, Group};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

impl Client {
    /// The socket takes no connection.
    pub(super) fn unreachable(&self, error: &io::Error) -> Failure {
        let path = self.socket().display();
        let starts = "`lb-ctl attach INTERFACE` starts one";
        let known = [
            (ErrorKind::NotFound, "no such file", starts),
            (ErrorKind::ConnectionRefused, "nobody answers", starts),
            (ErrorKind::WouldBlock, "its queue is full, it takes no more connections", HUNG),
        ];
        if error.kind() == ErrorKind::PermissionDenied {
            let message = format!("cannot reach the agent at {path}: permission denied");
            return Failure::failed(message).with_hint(who_may(self.socket()));
        }
        let known = known.into_iter().find(|(kind, ..)| *kind == error.kind());
        let (fact, hint) = match known {
            Some((_, fact, hint)) => (fact.to_owned(), hint),
            None => (error.to_string(), "`--socket` or LB_SOCKET name another socket"),
        };
        Failure::failed(format!("cannot reach the agent at {path}: {fact}")).with_hint(hint)
    }

    /// What came over it is no answer.
    pub(super) fn broken(&self, error: &impl ToString) -> Failure {
        let path = self.socket().display();
        Failure::failed(format!("cannot talk to the agent at {path}: {}", error.to_string())).with_hint(ENDED)
    }

    /// Nothing came over it.
    pub(super) fn too_late(&self, limit: Duration) -> Failure {
        let path = self.socket().display();
        let failure = Failure::failed(format!("the agent at {path} gave no answer within {limit:?}"));
        failure.with_hint(HUNG)
    }
}

const HUNG: &str = "forwarding goes on; `lb-ctl status` names its process, what was asked may still be done";

const ENDED: &str = "what was asked may be done or not: `lb-ctl status` says whether an agent runs, `lb-ctl history` \
                     which changes were made";

/// Who may use the socket at `path`, as far as this user can see.
fn who_may(path: &Path) -> String {
    let usual = || "root and the group of the socket may use it".to_owned();
    let Ok(file) = fs::metadata(path) else { return usual() };
    match Group::from_gid(Gid::from_raw(file.gid())) {
        Ok(Some(group)) => format!("root and the members of group {} may use it", group.name),
        Ok(None) | Err(_) => usual(),
    }
}
