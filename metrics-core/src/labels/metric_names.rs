//! The names of an application's own metrics.
//!
//! # Synchronization
//!
//! Names are interned under a lock, off the recording path; handles hold what they found.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::labels::metric_family::{MakeTimer, MetricFamily};
use crate::labels::metric_kind::MetricKind;
use crate::labels::metric_room::{MAX_METRICS, MAX_UNIQUES, MetricRoom};
use crate::sync::{Mutex, lock};

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

/// All metrics of a registry, by name.
#[derive(Debug, Default)]
pub(crate) struct MetricNames {
    named: Mutex<Named>,
    room: Arc<MetricRoom>,
}

#[derive(Debug, Default)]
struct Named {
    metrics: BTreeMap<Arc<str>, Arc<MetricFamily>>,
    /// How many there are, by kind.
    made: HashMap<MetricKind, usize>,
}

impl MetricNames {
    /// The metric of a name, made at the first call.
    pub(crate) fn intern(
        &self,
        name: &str,
        asked: MetricKind,
        timer: MakeTimer<'_>,
    ) -> Result<Arc<MetricFamily>, MetricError> {
        lock(&self.named).intern(name, asked, &self.room, timer)
    }

    /// The metric of a name, if there is one.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<MetricFamily>> {
        lock(&self.named).metrics.get(name).cloned()
    }

    /// All metrics, by name.
    pub(crate) fn all(&self) -> Vec<Arc<MetricFamily>> {
        lock(&self.named).metrics.values().cloned().collect()
    }

    /// What the metrics share.
    pub(crate) fn room(&self) -> &MetricRoom {
        &self.room
    }
}

impl Named {
    fn intern(
        &mut self,
        name: &str,
        asked: MetricKind,
        room: &Arc<MetricRoom>,
        timer: MakeTimer<'_>,
    ) -> Result<Arc<MetricFamily>, MetricError> {
        if let Some(known) = self.metrics.get(name) {
            if known.kind() == asked {
                return Ok(Arc::clone(known));
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
        let name = Arc::<str>::from(name);
        let metric = Arc::new(MetricFamily::new(Arc::clone(&name), asked, Arc::clone(room), timer));
        self.metrics.insert(name, Arc::clone(&metric));
        Ok(metric)
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
