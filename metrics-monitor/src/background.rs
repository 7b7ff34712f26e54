//! Second floor: what runs on the monitor's own threads.

pub(crate) mod alerting;
pub(crate) mod cost;
pub(crate) mod event_loops;
#[cfg(feature = "redis")]
pub(crate) mod fleet_alerts;
pub(crate) mod history_file;
pub(crate) mod history_writer;
#[cfg(feature = "redis")]
pub(crate) mod inherited_history;
pub(crate) mod joined;
pub(crate) mod lanes;
pub(crate) mod live;
pub(crate) mod process;
pub(crate) mod resources;
pub(crate) mod sampler;
mod saved_file;
pub(crate) mod scrapes;
pub(crate) mod ticker;
