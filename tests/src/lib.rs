//! What the end-to-end tests share: a real server on a free port, and real clients.

#![forbid(unsafe_code)]

mod accessibility;
mod adjusted;
mod browser;
mod certificates;
mod client;
mod example;
mod http2;
mod process;
mod raw;
mod receiver;
mod redis;
mod server;
mod stub;
mod turns;

pub use accessibility::{LOOKS, serious_violations};
pub use adjusted::Adjusted;
pub use browser::{Browser, Look};
pub use certificates::Certificates;
pub use client::{Client, Reply};
pub use example::Example;
pub use http2::Http2;
pub use process::{Folder, Process, free_port, python, until};
pub use raw::Raw;
pub use receiver::Receiver;
pub use redis::{Redis, Sentinel, free_port_of_redis};
pub use server::{Server, settled};
pub use stub::{Fault, Stub, Take};
pub use turns::Turns;
