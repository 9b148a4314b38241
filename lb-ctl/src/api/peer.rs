//! Who is at the other end of the socket, as the kernel says it.

use crate::config::intent::Actor;
use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use nix::unistd::{Uid, User};
use tokio::net::UnixListener;

/// The user of the process that connected; `None` if the kernel does not tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    uid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { uid: stream.io().peer_cred().ok().map(|peer| peer.uid()) }
    }
}

impl Peer {
    /// The user, with the name that the system has for it.
    pub(super) fn actor(self) -> Actor {
        self.uid.map_or_else(|| Actor { uid: None, user: "unknown".to_owned() }, user)
    }
}

/// The user with this id, by the name that the system has for it.
pub(crate) fn user(uid: u32) -> Actor {
    let known = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    Actor { uid: Some(uid), user: known.map_or_else(|| uid.to_string(), |user| user.name) }
}
