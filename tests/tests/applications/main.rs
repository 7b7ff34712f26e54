//! Applications with and without the monitor: the same crates, the same answers, and each request counted once.
//!
//! To add an application, add a file with its `app()`, what its clients send, and what must be counted. See
//! `graphql.rs`.

mod builds;
mod cors;
mod error_handlers;
mod events;
#[cfg(unix)]
mod first_screen;
mod graphql;
mod harness;
mod multipart;
mod neighbours;
mod proxy;
mod sessions;
mod tls;
#[cfg(unix)]
mod unix_socket;
mod web_sockets;
