//! The latest slow or failed request of each endpoint whose trace is known.
//!
//! # Synchronization
//!
//! `latest` is locked by writers off the recording path, and by readers for as long as it takes to copy it. A writer that finds
//! it locked goes on without: there will be another slow request, and nothing that is counted depends on it.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU128;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::endpoint::{EndpointId, EndpointName, Endpoints};
use crate::outcome::Outcome;
use crate::sync::{Mutex, lock};

/// Which trace a request belongs to: 128 bits, not all of them 0, as W3C's Trace Context has them.
///
/// Shown as 32 hexadecimal digits, in small letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TraceId(NonZeroU128);

/// A text that is no trace's: not 32 hexadecimal digits in small letters, or all of them 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a trace's id; allowed: 32 hexadecimal digits in small letters, not all of them 0")]
pub struct ParseTraceIdError;

impl TraceId {
    /// The id of these bits, unless all of them are 0.
    pub fn new(bits: u128) -> Option<Self> {
        NonZeroU128::new(bits).map(Self)
    }
}

impl std::str::FromStr for TraceId {
    type Err = ParseTraceIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_small_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(is_small_hex) {
            return Err(ParseTraceIdError);
        }
        u128::from_str_radix(text, 16).ok().and_then(Self::new).ok_or(ParseTraceIdError)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl From<TraceId> for String {
    fn from(id: TraceId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for TraceId {
    type Error = ParseTraceIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// One request that stands for others like it, and whose trace says more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemplar {
    /// What the endpoint is called.
    pub endpoint: Arc<EndpointName>,
    /// How the request ended.
    pub outcome: Outcome,
    /// How long it took, in nanoseconds.
    pub nanos: u64,
    /// When it ended, by the wall clock.
    pub time: SystemTime,
    /// Which trace it belongs to.
    pub trace: TraceId,
}

/// What is kept of an exemplar.
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
    /// Keeps a request as the latest of its endpoint, unless somebody else is here just now. Never waits.
    pub(crate) fn keep(&self, endpoint: EndpointId, outcome: Outcome, nanos: u64, trace: TraceId) {
        let latest = Latest { outcome, nanos, time: SystemTime::now(), trace };
        if let Ok(mut kept) = self.latest.try_lock() {
            kept.insert(endpoint.bits(), (endpoint, latest));
        }
    }

    /// All of them, in the order of the endpoints' rows.
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
    fn a_trace_is_32_small_hexadecimal_digits_and_not_all_of_them_0() {
        let text = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(text.parse::<TraceId>().unwrap().to_string(), text);
        let (short, long) = (&text[1..], format!("{text}0"));
        let upper = text.to_uppercase();
        let zeros = "0".repeat(32);
        let plus = format!("+{short}");
        for wrong in ["", short, &long, &upper, &zeros, &plus, "é"] {
            assert_eq!(wrong.parse::<TraceId>(), Err(ParseTraceIdError), "{wrong}");
        }
        assert_eq!(TraceId::new(0), None);
        assert_eq!(TraceId::new(0xab).unwrap().to_string().len(), 32);
    }

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
    fn merged_snapshots_keep_the_latest_of_both_and_a_window_its_own() {
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
