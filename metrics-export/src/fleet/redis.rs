//! Reports by way of a Redis: each instance writes its own, and any of them reads all.
//!
//! `docs/fleet.md` says which keys there are, what is exact, and where it stops.

mod address;
mod keys;
mod link;
mod member;
mod read;
mod settings;
mod view;
mod write;

pub use self::address::AddressError;
pub use self::member::{Member, StartError};
pub use self::settings::{Settings, SettingsError};
pub use self::view::{Answer, Question, Stale};
pub use self::write::WriterStatus;
