//! Reports by way of a Redis: each instance writes its own, and any of them reads all.
//!
//! `docs/fleet.md` says which keys there are, what is exact, and where it stops.

mod address;
mod commands;
mod keys;
mod link;
mod member;
mod oneshot;
mod question;
mod read;
mod reply;
mod settings;
mod shared;
mod status;
mod view;
mod write;

pub use self::address::AddressError;
pub use self::member::{Member, StartError};
pub use self::question::{Answer, Busy, Question, Stale};
pub use self::reply::Reply;
pub use self::settings::{Settings, SettingsError};
pub use self::status::WriterStatus;
