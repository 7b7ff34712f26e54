//! The names of an application's own metrics, and where the figures of each are.
//!
//! # Synchronization
//!
//! Names are interned under a lock, off the recording path; handles hold what they found.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::labels::endpoint::EndpointId;
use crate::labels::metric_kind::MetricKind;
use crate::sync::{AtomicU64, Mutex, lock};

/// The most metrics of a kind in a registry, except for [`MAX_UNIQUES`].
pub(crate) const MAX_METRICS: usize = 128;

/// The most unique counts in a registry: each takes 16 KiB in every shard that inserts.
pub(crate) const MAX_UNIQUES: usize = 16;

/// Rows of counters in a shard: one for each counter, two for each hit ratio.
pub(crate) const MAX_COUNTER_ROWS: usize = 3 * MAX_METRICS;

/// The longest name of a metric, in bytes.
const MAX_METRIC_NAME_BYTES: usize = 100;

/// Why a metric cannot be created.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// Prometheus does not allow the name.
    #[error(
        "{name:?} is not a metric name; use letters, digits and _, no digit first, up to {MAX_METRIC_NAME_BYTES} bytes"
    )]
    Name {
        /// The name, cut to the first 100 characters.
        name: String,
    },
    /// A metric of another kind already has the name.
    #[error("{name:?} is already a {known}; choose another name for the {asked}")]
    Kind {
        /// The name.
        name: String,
        /// The kind of the metric that has the name.
        known: MetricKind,
        /// The kind that was asked for.
        asked: MetricKind,
    },
    /// The registry has no room for another metric of the kind.
    #[error("limit of {max} {kind}s reached; {name:?} was not created")]
    Full {
        /// The name.
        name: String,
        /// The kind that was asked for.
        kind: MetricKind,
        /// The most metrics of that kind.
        max: usize,
    },
}

crate::text::debug_as_display!(MetricError);

/// For a `main` that returns `std::io::Result`, as those of many services.
impl From<MetricError> for std::io::Error {
    fn from(error: MetricError) -> Self {
        Self::new(std::io::ErrorKind::InvalidInput, error)
    }
}

/// Where the figures of a metric are.
#[derive(Debug, Clone)]
pub(crate) enum Storage {
    /// In a row of each shard's counters.
    Counter { row: usize },
    /// Here, for all threads: the bits of a finite `f64`.
    Gauge { value: Arc<AtomicU64> },
    /// At an endpoint of the timers' shards.
    Timer { timer: EndpointId },
    /// In two rows of each shard's counters, the hits in the first.
    HitRatio { hits: usize },
    /// In a row of each shard's distinct values.
    UniqueCount { row: usize },
}

/// All metrics of a registry, by name.
#[derive(Debug, Default)]
pub(crate) struct MetricNames {
    named: Mutex<Named>,
}

#[derive(Debug, Default)]
struct Named {
    metrics: BTreeMap<Arc<str>, Storage>,
    /// How many there are, by kind.
    made: HashMap<MetricKind, usize>,
    /// Rows of counters in use.
    counter_rows: usize,
}

impl MetricNames {
    /// The row of a counter, made at the first call.
    pub(crate) fn counter(&self, name: &str) -> Result<usize, MetricError> {
        let make = |named: &mut Named| Storage::Counter { row: named.take_counter_rows(1) };
        match self.intern(name, MetricKind::Counter, make)? {
            Storage::Counter { row } => Ok(row),
            other => unreachable!("asked for a counter, got {other:?}"),
        }
    }

    /// The value of a gauge, made at the first call.
    pub(crate) fn gauge(&self, name: &str) -> Result<Arc<AtomicU64>, MetricError> {
        match self.intern(name, MetricKind::Gauge, |_| Storage::Gauge { value: Arc::default() })? {
            Storage::Gauge { value } => Ok(value),
            other => unreachable!("asked for a gauge, got {other:?}"),
        }
    }

    /// The endpoint of a timer, which `make` makes at the first call.
    pub(crate) fn timer(
        &self,
        name: &str,
        make: impl FnOnce() -> EndpointId,
    ) -> Result<EndpointId, MetricError> {
        match self.intern(name, MetricKind::Timer, |_| Storage::Timer { timer: make() })? {
            Storage::Timer { timer } => Ok(timer),
            other => unreachable!("asked for a timer, got {other:?}"),
        }
    }

    /// The row of a hit ratio's hits, made at the first call. Misses are in the next row.
    pub(crate) fn hit_ratio(&self, name: &str) -> Result<usize, MetricError> {
        let make = |named: &mut Named| Storage::HitRatio { hits: named.take_counter_rows(2) };
        match self.intern(name, MetricKind::HitRatio, make)? {
            Storage::HitRatio { hits } => Ok(hits),
            other => unreachable!("asked for a hit ratio, got {other:?}"),
        }
    }

    /// The row of a unique count, made at the first call.
    pub(crate) fn unique(&self, name: &str) -> Result<usize, MetricError> {
        let make = |named: &mut Named| Storage::UniqueCount { row: named.made[&MetricKind::UniqueCount] - 1 };
        match self.intern(name, MetricKind::UniqueCount, make)? {
            Storage::UniqueCount { row } => Ok(row),
            other => unreachable!("asked for a unique count, got {other:?}"),
        }
    }

    /// Whether there is a metric of this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        lock(&self.named).metrics.contains_key(name)
    }

    /// All metrics, by name.
    pub(crate) fn all(&self) -> BTreeMap<Arc<str>, Storage> {
        lock(&self.named).metrics.clone()
    }

    fn intern(
        &self,
        name: &str,
        asked: MetricKind,
        make: impl FnOnce(&mut Named) -> Storage,
    ) -> Result<Storage, MetricError> {
        lock(&self.named).intern(name, asked, make)
    }
}

impl Named {
    fn intern(
        &mut self,
        name: &str,
        asked: MetricKind,
        make: impl FnOnce(&mut Self) -> Storage,
    ) -> Result<Storage, MetricError> {
        if let Some(known) = self.metrics.get(name) {
            if known.kind() == asked {
                return Ok(known.clone());
            }
            return Err(MetricError::Kind { name: name.to_owned(), known: known.kind(), asked });
        }
        let starts_right = !name.starts_with(|c: char| c.is_ascii_digit());
        let fits = (1..=MAX_METRIC_NAME_BYTES).contains(&name.len());
        if !fits || !starts_right || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(MetricError::Name { name: name.chars().take(MAX_METRIC_NAME_BYTES).collect() });
        }
        let made = self.made.entry(asked).or_default();
        let max = if asked == MetricKind::UniqueCount { MAX_UNIQUES } else { MAX_METRICS };
        if *made == max {
            return Err(MetricError::Full { name: name.to_owned(), kind: asked, max });
        }
        *made += 1;
        let metric = make(self);
        self.metrics.insert(name.into(), metric.clone());
        Ok(metric)
    }

    /// Takes the next free rows of counters.
    fn take_counter_rows(&mut self, rows: usize) -> usize {
        let row = self.counter_rows;
        self.counter_rows += rows;
        row
    }
}

impl Storage {
    fn kind(&self) -> MetricKind {
        match self {
            Self::Counter { .. } => MetricKind::Counter,
            Self::Gauge { .. } => MetricKind::Gauge,
            Self::Timer { .. } => MetricKind::Timer,
            Self::HitRatio { .. } => MetricKind::HitRatio,
            Self::UniqueCount { .. } => MetricKind::UniqueCount,
        }
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;
    use crate::read::summary::metrics::MetricFigures;
    use crate::registry::Registry;
    use std::time::Duration;

    #[test]
    fn a_name_is_one_metric_and_an_error_says_what_to_change() {
        let registry = Registry::new();
        registry.counter("jobs").unwrap().increment();
        registry.counter("jobs").unwrap().increment();
        let figures = |name: &str| {
            let business = registry.summary().business;
            business.into_iter().find(|metric| &*metric.name == name).unwrap().figures
        };
        assert_eq!(figures("jobs"), MetricFigures::Counter(2));
        let kind = registry.hit_ratio("jobs").unwrap_err();
        assert_eq!(kind.to_string(), "\"jobs\" is already a counter; choose another name for the hit ratio");
        let long = "x".repeat(MAX_METRIC_NAME_BYTES + 1);
        for name in ["", "1st", "a-b", "a:b", "caf\u{e9}", long.as_str()] {
            let error = registry.gauge(name).unwrap_err();
            assert!(matches!(error, MetricError::Name { .. }), "{error}");
        }
        for i in 0..MAX_METRICS {
            registry.timer(&format!("timer_{i}")).unwrap().record(Duration::ZERO);
            registry.hit_ratio(&format!("ratio_{i}")).unwrap().miss();
            registry.counter(&format!("counter_{i}")).ok();
        }
        assert_eq!(figures("counter_0"), MetricFigures::Counter(0));
        for error in [
            registry.timer("one_more").unwrap_err(),
            registry.counter("one_more").unwrap_err(),
            registry.hit_ratio("one_more").unwrap_err(),
        ] {
            assert!(matches!(error, MetricError::Full { .. }), "{error}");
        }
        let full = registry.hit_ratio("one_more").unwrap_err().to_string();
        assert_eq!(full, "limit of 128 hit ratios reached; \"one_more\" was not created");
        assert!(registry.timer("timer_0").is_ok());
    }
}
