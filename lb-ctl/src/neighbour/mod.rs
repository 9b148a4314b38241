//! What the host's own network says: links, addresses, routes and neighbours, asked and changed through netlink.
//!
//! It knows nothing of services; it neither decides nor remembers.

mod address;
pub mod announce;
mod claim;
mod entry;
mod features;
mod frame;
mod link;
mod listen;
mod route;
mod watch;

pub use address::LocalAddress;
pub use claim::Claim;
pub use entry::{Neighbour, Neighbours};
pub use link::{Link, LinkKind};
pub use listen::Listener;
pub use route::{Route, RouteError};
pub use watch::Changes;

use rtnetlink::Handle;

/// A MAC address.
pub type Mac = [u8; 6];

/// Why the kernel's network tables could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The netlink socket could not be opened.
    #[error("cannot open a netlink socket: {0}")]
    Open(#[source] std::io::Error),
    /// A request was answered with an error.
    #[error("cannot {what}: {source}")]
    Request {
        /// What was asked for.
        what: String,
        /// What the kernel said.
        source: std::io::Error,
    },
}

impl NetworkError {
    fn request(what: impl Into<String>, error: rtnetlink::Error) -> Self {
        Self::Request { what: what.into(), source: io_error(error) }
    }

    fn fault(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Request { what: format!("write {what}"), source }
    }

    /// The kernel's error number, if there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Open(source) | Self::Request { source, .. } => source.raw_os_error(),
        }
    }
}

/// The kernel's error number where there is one, else the text.
fn io_error(error: rtnetlink::Error) -> std::io::Error {
    if let rtnetlink::Error::NetlinkError(message) = &error {
        message.to_io()
    } else {
        std::io::Error::other(error)
    }
}

/// A connection to the kernel's network tables, of the network namespace it was opened in.
#[derive(Clone, Debug)]
pub struct Network {
    handle: Handle,
    features: Option<features::Features>,
}

impl Network {
    /// Opens a connection for requests and one for changes. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Open`] if the kernel refuses a netlink socket.
    pub fn open() -> Result<(Self, Changes), NetworkError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(NetworkError::Open)?;
        tokio::spawn(connection);
        // A kernel without generic netlink says less; nothing else depends on it.
        let features = features::Features::open().ok();
        Ok((Self { handle, features }, watch::start()?))
    }
}
