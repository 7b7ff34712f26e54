//! Exemplars: for each endpoint the latest slow or failed request with a trace.
//!
//! # Synchronization
//!
//! Writers lock `latest` off the recording path; readers lock it for as long as it takes to copy it. A writer that
//! finds it locked keeps no exemplar: there will be another slow request, and no count depends on it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::labels::endpoint::{EndpointId, EndpointName, Endpoints};
use crate::labels::outcome::Outcome;
use crate::labels::trace::TraceId;
use crate::sync::{Mutex, lock};

/// A request that stands for others like it, with its trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemplar {
    /// The endpoint of the request.
    pub endpoint: Arc<EndpointName>,
    /// How the request ended.
    pub outcome: Outcome,
    /// How long the request took, in nanoseconds.
    pub nanos: u64,
    /// When the request ended, by the wall clock.
    pub time: SystemTime,
    /// The trace that the request belongs to.
    pub trace: TraceId,
}

/// An exemplar, without its endpoint.
#[derive(Debug, Clone, Copy)]
struct Latest {
    outcome: Outcome,
    nanos: u64,
    time: SystemTime,
    trace: TraceId,
}

/// At most one exemplar for each endpoint of a registry.
#[derive(Debug, Default)]
pub(crate) struct Exemplars {
    /// By an endpoint's bits, which are in the order of the rows.
    latest: Mutex<BTreeMap<u64, (EndpointId, Latest)>>,
}

impl Exemplars {
    /// Keeps a request as the latest of its endpoint, unless another thread holds the lock. Never waits.
    pub(crate) fn keep(&self, endpoint: EndpointId, outcome: Outcome, nanos: u64, trace: TraceId) {
        let latest = Latest { outcome, nanos, time: SystemTime::now(), trace };
        if let Ok(mut kept) = self.latest.try_lock() {
            kept.insert(endpoint.bits(), (endpoint, latest));
        }
    }

    /// All exemplars, in the order of the endpoints' rows.
    pub(crate) fn all(&self, endpoints: &Endpoints) -> Vec<Exemplar> {
        let kept: Vec<_> = lock(&self.latest).values().copied().collect();
        let exemplar = |(endpoint, latest): (_, Latest)| {
            let Latest { outcome, nanos, time, trace } = latest;
            Exemplar { endpoint: endpoints.name(endpoint), outcome, nanos, time, trace }
        };
        kept.into_iter().map(exemplar).collect()
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use std::time::Duration;

    #[test]
    fn the_latest_of_each_endpoint_is_kept_in_the_order_of_the_endpoints() {
        let registry = Registry::new();
        let recorder = registry.recorder();
        let [a, b] = ["/a", "/b"].map(|route| registry.endpoint("GET", route));
        for (endpoint, status, trace) in [(b, 500, 1), (a, 200, 2), (b, 404, 3)] {
            recorder.record(endpoint, status, Duration::from_secs(2));
            let trace = TraceId::new(trace).unwrap();
            recorder.keep_exemplar(endpoint, Outcome::Status(status), Duration::from_secs(2), trace);
        }
        let snapshot = registry.snapshot();
        let kept: Vec<_> = snapshot
            .exemplars()
            .iter()
            .map(|exemplar| (&*exemplar.endpoint.route, exemplar.outcome, exemplar.trace))
            .collect();
        let trace = |bits| TraceId::new(bits).unwrap();
        assert_eq!(kept, [("/a", Outcome::Status(200), trace(2)), ("/b", Outcome::Status(404), trace(3))]);
        let text = serde_json::to_string(&snapshot).unwrap();
        let read: crate::Snapshot = serde_json::from_str(&text).unwrap();
        assert_eq!(read.exemplars(), snapshot.exemplars());
    }

    #[test]
    fn merged_snapshots_keep_the_latest_exemplar_of_both_and_a_window_only_its_own() {
        let made = |routes: &[(&str, u128)]| {
            let registry = Registry::new();
            for &(route, trace) in routes {
                let (endpoint, recorder) = (registry.endpoint("GET", route), registry.recorder());
                recorder.record(endpoint, 500, Duration::ZERO);
                let trace = TraceId::new(trace).unwrap();
                recorder.keep_exemplar(endpoint, Outcome::Status(500), Duration::ZERO, trace);
            }
            registry
        };
        let first = made(&[("/a", 1), ("/b", 2)]).snapshot();
        std::thread::sleep(Duration::from_millis(2));
        let registry = made(&[("/c", 3), ("/a", 4)]);
        let second = registry.snapshot();
        for (mut sum, other) in [(first.clone(), &second), (second.clone(), &first)] {
            sum.merge(other).unwrap();
            let endpoints: Vec<_> = sum.endpoints().map(|endpoint| endpoint.name().clone()).collect();
            let routes = sum.exemplars().iter().map(|exemplar| (*exemplar.endpoint).clone());
            assert!(routes.eq(endpoints), "{sum:?}");
            let of_a = sum.exemplars().iter().find(|exemplar| &*exemplar.endpoint.route == "/a").unwrap();
            assert_eq!(of_a.trace, TraceId::new(4).unwrap());
        }
        std::thread::sleep(Duration::from_millis(2));
        registry.reset();
        assert_eq!(registry.window().exemplars(), []);
    }
}
