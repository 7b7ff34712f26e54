//! A fleet that shares a Redis: each instance writes its own report, and any instance reads all of them.
//!
//! `docs/fleet.md` lists the keys and the limits, and says what is exact.

mod address;
mod alert_lease;
mod commands;
mod identity;
mod keys;
mod lease;
mod lease_key;
mod link;
mod member;
mod minutes;
mod oneshot;
mod question;
mod read;
mod reply;
mod saved_history;
mod server;
mod settings;
mod shared;
mod status;
mod trend;
mod view;
mod within;
mod write;

pub use self::alert_lease::AlertLease;
pub use self::member::Member;
pub use self::question::{Answer, Busy, InstanceId, Question, RouteId, Stale};
pub use self::reply::Reply;
pub use self::saved_history::{Claim, SavedHistory};
pub use self::settings::FleetSettings;
pub use self::status::WriterStatus;
