//! Requests as aggregated sessions: <https://develop.sentry.dev/sdk/telemetry/sessions/>.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use metrics_core::{Outcome, Snapshot};
use sentry_types::protocol::v7::{SessionAggregateItem, SessionAggregates, SessionAttributes};

use super::origin::Origin;

/// The sessions of a window, one per request; `None` without requests, or without a release, which Sentry requires.
pub(super) fn of(origin: &Origin, figures: &Snapshot) -> Option<SessionAggregates<'static>> {
    let release = origin.release.clone()?;
    let mut counts = SessionCounts::default();
    for (outcome, count) in figures.endpoints().flat_map(|endpoint| endpoint.outcomes()) {
        let total = match outcome {
            Outcome::Panicked => &mut counts.crashed,
            Outcome::Status(500..) => &mut counts.errored,
            _ => &mut counts.exited,
        };
        *total = total.saturating_add(count);
    }
    let aggregates: Vec<_> = counts.items(minute(figures.since())).collect();
    let attributes = SessionAttributes {
        release: Cow::Owned(release),
        environment: origin.environment.clone().map(Cow::Owned),
        ip_address: None,
        user_agent: None,
    };
    (!aggregates.is_empty()).then_some(SessionAggregates { aggregates, attributes })
}

#[derive(Debug, Default)]
struct SessionCounts {
    exited: u64,
    errored: u64,
    crashed: u64,
}

impl SessionCounts {
    /// Splits the counts into items, whose numbers have 32 bits.
    fn items(mut self, started: SystemTime) -> impl Iterator<Item = SessionAggregateItem> {
        std::iter::from_fn(move || {
            let [exited, errored, crashed] =
                [&mut self.exited, &mut self.errored, &mut self.crashed].map(take);
            let is_empty = exited == 0 && errored == 0 && crashed == 0;
            let item =
                SessionAggregateItem { started, distinct_id: None, exited, errored, abnormal: 0, crashed };
            (!is_empty).then_some(item)
        })
    }
}

/// Takes up to `u32::MAX` of a count.
fn take(count: &mut u64) -> u32 {
    let taken = u32::try_from(*count).unwrap_or(u32::MAX);
    *count -= u64::from(taken);
    taken
}

/// The beginning of a time's minute.
fn minute(time: SystemTime) -> SystemTime {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds - seconds % 60)
}

#[cfg(test)]
mod tests {
    use metrics_core::Registry;

    use super::*;

    fn origin(release: Option<&str>) -> Origin {
        Origin {
            release: release.map(str::to_owned),
            environment: Some("prod".to_owned()),
            server_name: None,
            trace_url: None,
        }
    }

    fn registry() -> Registry {
        let registry = Registry::new();
        let [a, b] = ["/a", "/b"].map(|route| registry.endpoint("GET", route));
        for (endpoint, outcome) in [
            (a, Outcome::Status(200)),
            (a, Outcome::Status(404)),
            (b, Outcome::Status(302)),
            (b, Outcome::Status(500)),
            (a, Outcome::Status(503)),
            (b, Outcome::Panicked),
            (a, Outcome::Aborted),
            (a, Outcome::Other),
        ] {
            registry.record_error(endpoint, outcome, Duration::from_millis(1), "no");
        }
        registry
    }

    #[test]
    fn each_request_is_one_session() {
        let figures = registry().snapshot();
        let sessions = of(&origin(Some("shop@1.2.3")), &figures).unwrap();
        let item = &sessions.aggregates[0];
        assert_eq!((item.exited, item.errored, item.crashed, item.abnormal), (5, 2, 1, 0));
        assert_eq!(sessions.aggregates.len(), 1);
        let calls: u64 = figures.endpoints().map(|endpoint| endpoint.calls()).sum();
        assert_eq!(u64::from(item.exited + item.errored + item.crashed), calls);
        let started = item.started.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!((started.as_secs() % 60, started.subsec_nanos()), (0, 0));
        let since = figures.since().duration_since(item.started).unwrap();
        assert!(since < Duration::from_secs(60));
        assert_eq!(&*sessions.attributes.release, "shop@1.2.3");
        assert_eq!(sessions.attributes.environment.as_deref(), Some("prod"));
    }

    #[test]
    fn without_a_release_or_requests_there_are_no_sessions() {
        assert_eq!(of(&origin(None), &registry().snapshot()), None);
        assert_eq!(of(&origin(Some("1")), &Registry::new().snapshot()), None);
    }

    #[test]
    fn counts_over_32_bits_are_split() {
        let counts = SessionCounts { exited: (1 << 32) + 5, errored: 1, crashed: 0 };
        let items: Vec<_> = counts.items(SystemTime::UNIX_EPOCH).collect();
        let numbers: Vec<_> = items.iter().map(|item| (item.exited, item.errored)).collect();
        assert_eq!(numbers, [(u32::MAX, 1), (6, 0)]);
    }
}
