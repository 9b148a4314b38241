//! A small HTTP server and client over the kernel's own sockets, so that the demo needs nothing installed.
//!
//! As much of HTTP/1.1 as the lab needs: GET, connections that stay open, and bodies of a known length.

mod client;
mod server;

pub use client::{Connection, Reply, get};
pub use server::{Server, serve_here};
