//! The body of `GET consumers`.

use std::time::{Duration, SystemTime};

use metrics_core::{ConsumerSnapshot, Snapshot};
use serde::Serialize;

use super::time::Time;

/// The body of `GET consumers`: the consumers with the most calls.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConsumersBody {
    consumers: Vec<ConsumerBody>,
    /// Consumers with calls in the window, listed or not.
    total_consumers: usize,
    /// Calls since the start by consumers that did not fit; they count for `_other`.
    refused: u64,
    /// The busiest of those in `_other` over the last five to ten minutes.
    others: Vec<OtherBody>,
    since: Time,
    window_seconds: f64,
}

/// A consumer without a row of its own. Its calls are in `_other`.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct OtherBody {
    consumer: String,
    calls_at_least: u64,
    calls_at_most: u64,
}

impl ConsumersBody {
    /// Lists the `top` consumers of a window.
    pub fn new(window: &Snapshot, top: usize) -> Self {
        let refused = window.health().consumers_refused;
        Self::of(window.consumers(), refused, window.since(), window.span(), top)
    }

    /// Adds consumers without a row of their own, those with the most calls first: name, calls at least, calls at most.
    pub fn others(mut self, others: impl IntoIterator<Item = (String, u64, u64)>) -> Self {
        self.others = others
            .into_iter()
            .map(|(consumer, calls_at_least, calls_at_most)| OtherBody {
                consumer,
                calls_at_least,
                calls_at_most,
            })
            .collect();
        self
    }

    pub(super) fn of(
        all: &[ConsumerSnapshot],
        refused: u64,
        since: SystemTime,
        span: Duration,
        top: usize,
    ) -> Self {
        let mut consumers: Vec<_> = all.iter().collect();
        consumers.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.name.cmp(&b.name)));
        Self {
            consumers: consumers.iter().take(top).map(|consumer| ConsumerBody::from(*consumer)).collect(),
            total_consumers: consumers.len(),
            refused,
            others: Vec::new(),
            since: Time(since),
            window_seconds: span.as_secs_f64(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ConsumerBody {
    /// An alias, a keyed hash, or a name with a leading `_`, which stands for several consumers.
    consumer: String,
    calls: u64,
    errors: u64,
    error_rate: f64,
    avg_response_time: f64,
    total_response_time: f64,
    last_seen: Time,
}

impl From<&ConsumerSnapshot> for ConsumerBody {
    fn from(consumer: &ConsumerSnapshot) -> Self {
        let total = Duration::from_nanos(consumer.sum_nanos).as_secs_f64();
        let per_call = |sum: f64| if consumer.calls == 0 { 0.0 } else { sum / consumer.calls as f64 };
        Self {
            consumer: consumer.name.to_string(),
            calls: consumer.calls,
            errors: consumer.errors,
            error_rate: per_call(consumer.errors as f64 * 100.0),
            avg_response_time: per_call(total),
            total_response_time: total,
            last_seen: Time(consumer.last_seen),
        }
    }
}
