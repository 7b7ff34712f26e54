//! A summary with a success, a 4xx, a 5xx and a panic, for the tests of several bodies.

use std::time::{Duration, SystemTime};

use metrics_core::{Outcome, Registry, Summary};

pub(super) fn summary() -> Summary {
    let registry = Registry::new();
    let item = registry.endpoint("GET", "/items/{id}");
    registry.record(item, 200, Duration::from_millis(123));
    registry.record(item, 404, Duration::from_millis(2));
    registry.record_error(item, Outcome::Status(500), Duration::from_millis(12), "no \"disk\"\n");
    registry.record_error(item, Outcome::Panicked, Duration::from_millis(1), "");
    let mut summary = registry.summary();
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_769_592_600_123);
    summary.recent_errors.iter_mut().for_each(|error| error.time = at);
    summary.since = at;
    summary.window = Duration::from_secs(2);
    summary
}
